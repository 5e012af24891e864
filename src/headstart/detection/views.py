"""Views of an image with boxes: mirrored, and of other scales, places and aspect ratios."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from PIL import Image

from headstart.arrays import Corners, Flags, Pixels
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess

# Images are decoded at this many times the side of the input, so that views can enlarge parts.
_LARGER = 1.5
# Scales of the views; beyond the side that was decoded, they would only be blurred.
_SCALES = (0.5, 1.5)
_ASPECT = 1.2
# A box of which less is visible in a view is not one of its boxes.
_VISIBLE = 0.3


@dataclass(frozen=True)
class View:
    """A view: the image scaled, moved and perhaps mirrored within the square input.

    Attributes:
        left: Left edge of the image in the input, in pixels; negative if it is cut off.
        top: Top edge of the image in the input.
        width: Width of the whole image in pixels of the input.
        height: Height of the whole image in pixels of the input.
        mirrored: Whether left and right are exchanged afterwards.
    """

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False

    @classmethod
    def drawn(cls, whole: Self, size: int, rng: np.random.Generator) -> Self:
        """Draw a view of random scale, aspect ratio and place.

        Args:
            whole: The view of the whole image.
            size: The side of the input, in pixels.
            rng: The source of randomness.
        """
        scale = math.exp(rng.uniform(*np.log(_SCALES)))
        stretch = math.exp(rng.uniform(-1, 1) * math.log(_ASPECT) / 2)
        width = max(1, round(whole.width * scale * stretch))
        height = max(1, round(whole.height * scale / stretch))
        left, top = (
            round(rng.uniform(min(0, size - side), max(0, size - side))) for side in (width, height)
        )
        return cls(left, top, width, height, bool(rng.random() < 0.5))

    def corners(self, shares: Corners, size: int) -> tuple[Corners, Flags]:
        """Return boxes in pixels of the input, cut at its edges, and which of them are visible.

        Args:
            shares: Boxes as shares of the image's width and height, 0 to 1, (boxes, 4).
            size: The side of the input, in pixels.
        """
        sides, begin = np.tile([self.width, self.height], 2), np.tile([self.left, self.top], 2)
        whole = shares * sides + begin
        cut = np.clip(whole, 0, size)
        if self.mirrored:
            cut[:, [0, 2]] = size - cut[:, [2, 0]]
        return cut.astype(np.float32), _areas(cut) > _VISIBLE * _areas(whole)


@dataclass(frozen=True)
class DetectionViews:
    """The views of a set of images; see `tuning.boundary.store.Views`.

    View 0 is the whole image, view 1 is that mirrored, and the others are drawn.

    Attributes:
        files: Path and sha256 of each image.
        sizes: Width and height of each image as it is seen.
        preprocess: The preprocessing of the network's input, which pads.
        views: Number of views per image.
        seed: Random seed of the views.
    """

    files: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[int, int], ...]
    preprocess: Preprocess
    views: int
    seed: int

    @property
    def preset(self) -> str:
        """The kind of augmentation."""
        return "boxes"

    @property
    def decoded(self) -> Preprocess:
        """The preprocessing of the pixels that views are made from."""
        return replace(self.preprocess, size=round(self.preprocess.size * _LARGER))

    def of(self, sha256: str, size: tuple[int, int], number: int) -> View:
        """Return the geometry of a view of an image.

        Args:
            sha256: The hash of the image.
            size: Width and height of the image.
            number: The number of the view.
        """
        whole = View(*_placed(self.preprocess, size))
        if number < 2:
            return replace(whole, mirrored=number == 1)
        digest = hashlib.sha256(f"{self.seed}:{sha256}:{number}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return View.drawn(whole, self.preprocess.size, rng)

    def view(self, pixels: Pixels, sha256: str, view: int) -> Pixels:
        """Return the pixels of a view, (size, size, 3).

        Args:
            pixels: The image, preprocessed by `decoded`.
            sha256: Its hash.
            view: The number of the view.
        """
        size = self._size_by_hash[sha256]
        geometry, side = self.of(sha256, size, view), self.preprocess.size
        left, top, width, height = _placed(self.decoded, size)
        image = Image.fromarray(pixels[top : top + height, left : left + width])
        resized = image.resize((geometry.width, geometry.height), Image.Resampling.BICUBIC)
        background = tuple(round(255 * value) for value in self.preprocess.mean)
        canvas = Image.new("RGB", (side, side), background)
        canvas.paste(resized, (geometry.left, geometry.top))
        made = np.asarray(canvas)
        return np.ascontiguousarray(made[:, ::-1] if geometry.mirrored else made)

    def truth(self, image: int, view: int, corners: Corners) -> tuple[Corners, Flags]:
        """Return the boxes of an image in a view, in pixels of the input; see `View.corners`.

        Args:
            image: The number of the image.
            view: The number of the view.
            corners: The boxes in pixels of the image, (boxes, 4).
        """
        size = self.sizes[image]
        geometry = self.of(self.files[image][1], size, view)
        return geometry.corners(corners / np.tile(size, 2), self.preprocess.size)

    def placement(self, image: int) -> Placement:
        """Return where the whole image is in view 0."""
        return Placement.of(self.preprocess, self.sizes[image])

    @cached_property
    def _size_by_hash(self) -> dict[str, tuple[int, int]]:
        return {sha256: size for (_, sha256), size in zip(self.files, self.sizes, strict=True)}


def _placed(preprocess: Preprocess, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of an image, however thin, in a preprocessed one."""
    left, top, width, height = preprocess.placed(*size)
    return left, top, max(width, 1), max(height, 1)


def _areas(corners: Corners) -> Corners:
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)
