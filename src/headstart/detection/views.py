"""Views of an image with boxes: mirrored, and of other scales, places and aspect ratios."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from PIL import Image

from headstart.arrays import Corners, Flags, Pixels, Rows
from headstart.data.contract import PixelContract
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.data.tiling import Tile, tiles_of
from headstart.predictor.placed import side_needed

# Of how views are made; stored maps of views of other versions are not read.
_VERSION = 2
# Images are decoded at this many times the side of the input, so that views can enlarge parts.
_LARGER = 1.5
# Scales of the views; beyond the side that was decoded, they would only be blurred.
_SCALES = (0.5, 1.5)
_ASPECT = 1.2
# How far from its edges pixels matter for a part that is resized, in pixels of the smaller scale:
# two for a bicubic filter, and one for rounding.
_REACH = 3
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
class WholeImages:
    """How images are decoded that views are made from; see `features.batches.Decoding`.

    Attributes:
        preprocess: The preprocessing of the network's input.
        side: The side of the tiles, in pixels; None without.
    """

    preprocess: Preprocess
    side: int | None

    @property
    def contract(self) -> PixelContract:
        """How the pixels of a file are read."""
        return self.preprocess.contract

    @property
    def min_side(self) -> MinSide:
        """What a photo of reduced scale needs; tiles are read as a prediction reads them."""
        if self.side:
            return side_needed(self.preprocess, self.side)
        return round(self.preprocess.size * _LARGER)

    def pixels_of(self, loaded: LoadedImage) -> Pixels:
        """Return the pixels of an image at the scale that views need, (height, width, 3)."""
        wanted, longest = self.preprocess.size * _LARGER, max(loaded.size)
        scale = min(1.0, wanted / min(self.side, longest)) if self.side else wanted / longest
        width, height = (max(1, round(scale * side)) for side in loaded.size)
        box = loaded.box_of(Tile(0, 0, *loaded.size))
        resized = loaded.image.resize((width, height), Image.Resampling.BICUBIC, box)
        return np.asarray(resized.convert("RGB"))


@dataclass(frozen=True)
class DetectionViews:
    """The views of a set of images; see `tuning.boundary.store.Views`.

    Large images are cut into tiles, each of which has its views. View 0 is the tile, view 1 is
    that mirrored, and the others are drawn. Without tiles, an image is its only tile.

    Attributes:
        images: Path and sha256 of each image.
        sizes: Width and height of each image as it is seen.
        preprocess: The preprocessing of the network's input, which pads.
        views: Number of views per tile.
        seed: Random seed of the views.
        side: The side of the tiles, in pixels; None if images are not cut.
    """

    images: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[int, int], ...]
    preprocess: Preprocess
    views: int
    seed: int
    side: int | None = None

    @cached_property
    def tiles(self) -> tuple[tuple[int, Tile], ...]:
        """The image and the place of each tile, image by image."""
        return tuple(
            (image, tile)
            for image, size in enumerate(self.sizes)
            for tile in tiles_of(size, self.side)
        )

    @cached_property
    def image_of(self) -> Rows:
        """The number of the image of each tile."""
        return np.array([image for image, _ in self.tiles], np.int64)

    @cached_property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Path and sha256 of the image of each tile."""
        return tuple(self.images[image] for image, _ in self.tiles)

    @property
    def preset(self) -> str:
        """The kind of augmentation."""
        kind = f"boxes in tiles of {self.side}" if self.side else "boxes"
        return f"{kind}, version {_VERSION}"

    @property
    def decoded(self) -> WholeImages:
        """How the images are decoded that views are made from."""
        return WholeImages(self.preprocess, self.side)

    def of(self, tile: int, view: int) -> View:
        """Return the geometry of a view.

        Args:
            tile: The number of the tile.
            view: The number of the view.
        """
        image, _ = self.tiles[tile]
        placement, (width, height) = self.placement(tile), self.sizes[image]
        across, down = placement.scale
        left, top = map(round, placement.offset)
        whole = View(left, top, max(1, round(across * width)), max(1, round(down * height)))
        if view < 2:
            return replace(whole, mirrored=view == 1)
        number = (tile - int(np.searchsorted(self.image_of, image))) * self.views + view
        key = f"{self.seed}:{self.images[image][1]}:{number}"
        rng = np.random.default_rng(
            int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        )
        return View.drawn(whole, self.preprocess.size, rng)

    def view(self, pixels: Pixels, tile: int, view: int) -> Pixels:
        """Return the pixels of a view, (size, size, 3).

        Args:
            pixels: The whole image, as `decoded` returns it.
            tile: The number of the tile.
            view: The number of the view.
        """
        geometry, side = self.of(tile, view), self.preprocess.size
        background = tuple(round(255 * value) for value in self.preprocess.mean)
        canvas = Image.new("RGB", (side, side), background)
        left, top = max(0, geometry.left), max(0, geometry.top)
        right = min(side, geometry.left + geometry.width)
        bottom = min(side, geometry.top + geometry.height)
        if right > left and bottom > top:
            shown = np.array([left, top, right, bottom]) - [geometry.left, geometry.top] * 2
            height, width = pixels.shape[:2]
            scale = np.tile([width / geometry.width, height / geometry.height], 2)
            part = resized_part(pixels, shown * scale, (right - left, bottom - top))
            canvas.paste(part, (left, top))
        made = np.asarray(canvas)
        return np.ascontiguousarray(made[:, ::-1] if geometry.mirrored else made)

    def truth(self, tile: int, view: int, corners: Corners) -> tuple[Corners, Flags]:
        """Return the boxes of an image in a view, in pixels of the input; see `View.corners`.

        Args:
            tile: The number of the tile.
            view: The number of the view.
            corners: The boxes in pixels of the image, (boxes, 4).
        """
        shares = corners / np.tile(self.sizes[self.tiles[tile][0]], 2)
        return self.of(tile, view).corners(shares, self.preprocess.size)

    def placement(self, tile: int) -> Placement:
        """Return where a tile is in its view 0."""
        image, place = self.tiles[tile]
        return Placement.of_tile(self.preprocess, self.sizes[image], place)


def resized_part(pixels: Pixels, box: Corners, size: tuple[int, int]) -> Image.Image:
    """Return a part of an image in another size, without a copy of the whole image.

    Args:
        pixels: The image, (height, width, 3).
        box: The edges of the part, in pixels.
        size: Width and height to return.
    """
    scale = np.maximum((box[2:] - box[:2]) / size, 1)
    begin = np.maximum(np.floor(box[:2] - _REACH * scale), 0).astype(int)
    right, bottom = np.ceil(box[2:] + _REACH * scale).astype(int)
    near = pixels[begin[1] : bottom, begin[0] : right]
    moved = box - np.tile(begin, 2)
    return Image.fromarray(near).resize(size, Image.Resampling.BICUBIC, tuple(moved))


def _areas(corners: Corners) -> Corners:
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)
