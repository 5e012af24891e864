"""Files that other ways of decoding and resizing get wrong, made from images of the user."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
_HUGE, _SLENDER, _TINY = (4000, 3000), (3000, 150), (5, 4)


def write_hard_cases(images: Sequence[Image.Image], folder: Path) -> list[Path]:
    """Write a file of each kind, each from the next of the images.

    Args:
        images: One or more images of mode "RGB".
        folder: The folder to create.
    """
    folder.mkdir(parents=True)
    paths = []
    for number, (name, save) in enumerate(_CASES.items()):
        paths.append(folder / name)
        save(images[number % len(images)], paths[-1])
    return paths


def _turned(orientation: int) -> Callable[[Image.Image, Path], None]:
    def save(image: Image.Image, path: Path) -> None:
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        image.save(path, exif=exif, quality=95)

    return save


def _as(mode: str) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.convert(mode).save(path)


def _sized(size: tuple[int, int]) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.resize(size).save(path)


def _transparent(image: Image.Image, path: Path) -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (2, 1))).resize(image.size)
    layer = image.copy()
    layer.putalpha(ramp)
    layer.save(path)


def _palette(image: Image.Image, path: Path) -> None:
    image.quantize(64).save(path, transparency=0)


def _sixteen_bits(image: Image.Image, path: Path) -> None:
    values = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(path)


def _cut_off(image: Image.Image, path: Path) -> None:
    image.save(path, quality=95)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


_CASES: dict[str, Callable[[Image.Image, Path], None]] = {
    "sideways.jpg": _turned(6),
    "mirrored.jpg": _turned(5),
    "sideways.png": _turned(8),
    "sideways.webp": _turned(6),
    "cmyk.jpg": _as("CMYK"),
    "grey.png": _as("L"),
    "black_and_white.png": _as("1"),
    "transparent.png": _transparent,
    "grey_transparent.png": lambda image, path: _transparent(image.convert("L"), path),
    "palette_transparent.png": _palette,
    "palette.gif": _palette,
    "lossless.webp": lambda image, path: image.save(path, lossless=True),
    "uncompressed.tif": _as("RGB"),
    "huge.jpg": _sized(_HUGE),
    "panorama.jpg": _sized(_SLENDER),
    "column.png": _sized(_SLENDER[::-1]),
    "tiny.png": _sized(_TINY),
    "sixteen_bits.png": _sixteen_bits,
    "cut_off.jpg": _cut_off,
}
