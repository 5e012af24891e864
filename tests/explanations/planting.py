"""Photos with a small textured patch that decides the class, for the pointing game.

Each image is a part of a photo with three square patches at random places, a quarter of its side
each: one of the class's texture, and two distractors that are in the images of every class. The
photos and textures come with scikit-image and scikit-learn. The pointing game counts how often the
maximum of a heat map is inside the object (Zhang et al., Top-down Neural Attention, 2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

from headstart.arrays import Flags, Floats

TEXTURES = ("brick", "coins", "gravel", "text")
DISTRACTORS = ("grass", "page")
_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry")
_FRACTION = 4

Point = tuple[int, int]
"""Left and top of a patch, in pixels."""


@dataclass(frozen=True)
class Planted:
    """An image with patches.

    Attributes:
        image: A square RGB image.
        target: Number of the class.
        corner: Left and top of the patch that decides the class.
    """

    image: Image.Image
    target: int
    corner: Point

    def is_hit(self, heat: Floats) -> bool:
        """Return whether the centre of the hottest cell is inside the patch, without tolerance."""
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        size, side = self.image.width, self.image.width // _FRACTION
        x, y = (column + 0.5) * size / heat.shape[1], (row + 0.5) * size / heat.shape[0]
        left, top = self.corner
        return bool(left <= x < left + side and top <= y < top + side)


def hits(planted: Sequence[Planted], heats: Floats) -> Flags:
    """Return for each image whether its heat map points at the patch of its class."""
    return np.array([one.is_hit(heat) for one, heat in zip(planted, heats, strict=True)])


def plant(
    count: int,
    size: int,
    *,
    seed: int,
    textures: Sequence[str] = TEXTURES,
    distractors: Sequence[str] = DISTRACTORS,
) -> list[Planted]:
    """Return images of all classes in turn."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        target = number % len(textures)
        names = (textures[target], *distractors)
        corners = _corners(rng, len(names), size)
        image = _part_of_photo(rng, size)
        for name, corner in zip(names, corners, strict=True):
            image.paste(_patch(rng, name, size // _FRACTION), corner)
        made.append(Planted(image, target, corners[0]))
    return made


def write(folder: Path, planted: Sequence[Planted]) -> Path:
    """Write a folder of class folders."""
    for number, one in enumerate(planted):
        path = folder / TEXTURES[one.target] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        one.image.save(path, compress_level=1)
    return folder


def _corners(rng: np.random.Generator, count: int, size: int) -> list[Point]:
    """Return places of patches that do not overlap."""
    corners: list[Point] = []
    while len(corners) < count:
        left, top = map(int, rng.integers(0, size - size // _FRACTION + 1, 2))
        if all(max(abs(left - x), abs(top - y)) >= size // _FRACTION for x, y in corners):
            corners.append((left, top))
    return corners


def _part_of_photo(rng: np.random.Generator, size: int) -> Image.Image:
    """Return a random square of a random photo, mirrored or not."""
    photo = _photos()[rng.integers(len(_photos()))]
    part = _random_square(rng, photo, round(min(photo.size) * rng.uniform(0.3, 0.9)))
    image = part.resize((size, size), Image.Resampling.BICUBIC)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _patch(rng: np.random.Generator, name: str, side: int) -> Image.Image:
    texture = _texture(name)
    part = _random_square(rng, texture, min(2 * side, *texture.size))
    return part.resize((side, side), Image.Resampling.BICUBIC)


def _random_square(rng: np.random.Generator, image: Image.Image, side: int) -> Image.Image:
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return image.crop((left, top, left + side, top + side))


@cache
def _photos() -> tuple[Image.Image, ...]:
    arrays = [getattr(data, name)() for name in _PHOTOS]
    arrays += [data.stereo_motorcycle()[0], data.hubble_deep_field(), *load_sample_images().images]
    return tuple(Image.fromarray(array).convert("RGB") for array in arrays)


@cache
def _texture(name: str) -> Image.Image:
    return Image.fromarray(getattr(data, name)()).convert("RGB")
