"""What an image file says without its content: how it was saved, and simple statistics of it.

A class that these tell apart may be learnt from how its images were made instead of from what they
show. They also find images that are blurred, dark, bright or empty.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image
from scipy.ndimage import sobel, uniform_filter1d

from headstart.arrays import Floats, Pixels
from headstart.data.contract import PixelContract
from headstart.data.decoding import FileFormat, decode_image, read_format, read_image
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.urls import reading_threads

_T = TypeVar("_T")

SIDE = 256
"""The longer side at which pictures are measured: about what a network sees."""

GRID = 48
"""The side of the grids that pictures are compared on."""

_BLUR_WINDOW = 11
# A border may vary by as much as the artefacts of compression.
_BORDER_LEVELS = 8


@dataclass(frozen=True)
class Traits:
    """The traits of one image.

    Attributes:
        file: How the file was saved.
        brightness: Mean grey level, 0 to 255.
        contrast: Standard deviation of the grey levels.
        colour: Mean of red, green and blue, 0 to 255.
        blur: 0 (sharp) to 1 (blurred): how little the picture changes if it is blurred, by Crete et
            al., "The blur effect: perception and estimation with a new no-reference perceptual
            blur metric" (2007). NaN for an empty picture.
        border: Share of the picture that is a border of one colour, 0 to 1.
    """

    file: FileFormat
    brightness: float
    contrast: float
    colour: tuple[float, float, float]
    blur: float
    border: float


NAMES = ("brightness", "contrast", "red", "green", "blue", "blur")
"""The traits of the picture that `trait_values` returns."""


def trait_values(paths: Sequence[str], contract: PixelContract) -> Floats:
    """Return the traits of images, (images, traits); NaN for files that cannot be read any more."""
    rows = [
        [np.nan] * len(NAMES)
        if found is None
        else [found[0].brightness, found[0].contrast, *found[0].colour, found[0].blur]
        for found in read_traits(paths, contract)
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, len(NAMES))


def read_formats(paths: Sequence[str]) -> Iterator[FileFormat]:
    """Yield how each file was saved, in order, without decoding it."""
    yield from _in_threads(lambda path: read_format(read_image(path)), paths)


def read_traits(
    paths: Sequence[str], contract: PixelContract
) -> Iterator[tuple[Traits, Pixels] | None]:
    """Yield the traits of each image, in order, and its grey levels on a grid.

    Args:
        paths: The files.
        contract: How they are decoded.

    Yields:
        The traits, and the picture stretched to a grid, shape (48, 48); None for a file that cannot
        be read any more.
    """

    def read(path: str) -> tuple[Traits, Pixels] | None:
        try:
            data = read_image(path)
            image = decode_image(data, path=path, min_side=SIDE, contract=contract)
        except UnreadableImage:
            return None
        grid = image.convert("L").resize((GRID, GRID), Image.Resampling.BOX)
        return measure_traits(image, read_format(data)), np.asarray(grid)

    yield from _in_threads(read, paths)


def _in_threads(read: Callable[[str], _T], paths: Sequence[str]) -> Iterator[_T]:
    threads = reading_threads(paths[0]) if paths else 1
    with quiet_libraries(), ThreadPoolExecutor(threads) as pool:
        yield from pool.map(read, paths)


def measure_traits(image: Image.Image, file: FileFormat) -> Traits:
    """Measure a decoded image.

    Args:
        image: Mode "RGB" or "L".
        file: How its file was saved.
    """
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32)
    grey = pixels.mean(axis=2)
    red, green, blue = pixels.mean(axis=(0, 1)).tolist()
    return Traits(
        file=file,
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        colour=(red, green, blue),
        blur=blur_effect(grey),
        border=border_share(grey),
    )


def blur_effect(grey: Floats) -> float:
    """Return how blurred a picture is, see `Traits.blur`.

    Args:
        grey: Grey levels, shape (height, width).
    """
    results = []
    for axis in (0, 1):
        edges = np.abs(sobel(grey, axis))[2:-2, 2:-2]
        blurred = np.abs(sobel(uniform_filter1d(grey, _BLUR_WINDOW, axis), axis))[2:-2, 2:-2]
        total = float(edges.sum())
        lost = float(np.maximum(edges - blurred, 0).sum())
        results.append((total - lost) / total if total > 0 else np.nan)
    return float(np.nanmax(results)) if np.isfinite(results).any() else np.nan


def border_share(grey: Floats) -> float:
    """Return the share of a picture that is a border of one colour; 1 if all of it is.

    Args:
        grey: Grey levels, shape (height, width).
    """
    height, width = grey.shape
    top, bottom = _margin(grey), _margin(grey[::-1])
    left, right = _margin(grey.T), _margin(grey.T[::-1])
    inner = max(0, height - top - bottom) * max(0, width - left - right)
    return float(1 - inner / (height * width))


def _margin(grey: Floats) -> int:
    """Return the number of first rows that are of the colour of the first one, all through."""
    same = (np.abs(grey - np.median(grey[0])) <= _BORDER_LEVELS).all(axis=1)
    return int(len(grey) if same.all() else np.argmin(same))
