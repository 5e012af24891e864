"""Pillow's JPEG decoder against another binding of libjpeg-turbo, at the sizes that are needed.

pip install --no-deps --target FOLDER simplejpeg
PYTHONPATH=src:FOLDER python -m benchmarks.decoders

Both decode at a reduced scale. "Same scale" asks simplejpeg for the size that Pillow gives; "own
scale" for 3/2 of the size needed, which it may reach at a scale, such as 3/8, that Pillow does not
have. Decoders take turns, and times are medians. "Resized" adds the resize to the side.
"""

import io
import statistics
import time
from collections.abc import Callable
from math import ceil

import numpy as np
import simplejpeg
from PIL import Image, features
from skimage import data

from benchmarks.machine import describe
from headstart.data.decoding import decode_image

SIZES = ((512, 384), (2000, 1500), (4000, 3000))
SIDES = {136: "scan", 224: "features", 300: "features"}
SECONDS = 2.0

Decode = Callable[[], Image.Image]


def photo(size: tuple[int, int]) -> bytes:
    """Return a photo of a size, with the noise of a camera, as a JPEG of its usual quality."""
    image = Image.fromarray(data.astronaut()[:384]).resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 3, (size[1], size[0], 3))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def other(file: bytes, height: int, width: int) -> Image.Image:
    """Decode with simplejpeg at the smallest scale that gives at least a size."""
    pixels = simplejpeg.decode_jpeg(file, "RGB", min_height=height, min_width=width, min_factor=1)
    return Image.fromarray(pixels)


def times(decoders: list[Decode]) -> list[float]:
    """Return the median milliseconds of each decoder, timed in turns."""
    found: list[list[float]] = [[] for _ in decoders]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(found[0]) < 5:
        for decode, taken in zip(decoders, found, strict=True):
            begin = time.perf_counter()
            decode()
            taken.append(time.perf_counter() - begin)
    return [1000 * statistics.median(taken) for taken in found]


def resized(decode: Decode, side: int) -> Decode:
    """Return a decoder that also resizes to a square, as for a network."""
    return lambda: decode().resize((side, side), Image.Resampling.BICUBIC)


def row(size: tuple[int, int], side: int) -> str:
    """Measure one size of photos at one size needed."""
    file, needed = photo(size), ceil(side * 1.5)
    pillow: Decode = lambda: decode_image(file, min_side=side)  # noqa: E731
    shape = pillow().size
    same: Decode = lambda: other(file, shape[1], shape[0])  # noqa: E731
    own: Decode = lambda: other(file, min(needed, size[1]), min(needed, size[0]))  # noqa: E731
    decoders = [pillow, same, own]
    taken = times(decoders)
    with_resize = times([resized(decode, side) for decode in decoders])
    gap = np.abs(np.asarray(same()).astype(int) - np.asarray(pillow())).max()
    equal = "yes" if same().size == shape and gap == 0 else f"no, up to {gap}"
    numbers = " | ".join(f"{number:.2f}" for number in taken)
    shapes = " | ".join(f"{found[0]} x {found[1]}" for found in (shape, own().size))
    return (
        f"| {size[0]} x {size[1]} | {side} | {shapes} | {numbers} | {taken[0] / taken[1]:.2f} | "
        f"{with_resize[0] / with_resize[1]:.2f} | {with_resize[0] / with_resize[2]:.2f} | {equal} |"
    )


def main() -> None:
    """Print a line for each size of photos and each size needed."""
    turbo = features.version("libjpeg_turbo")
    print(f"machine: {describe()}; Pillow with libjpeg-turbo {turbo}, ", end="")
    print(f"simplejpeg {simplejpeg.__version__}\n")
    print(
        "| photo | side | Pillow gives | own scale gives | Pillow ms | same scale ms "
        "| own scale ms | ratio | resized, same scale | resized, own scale | equal at same scale |"
    )
    print("|" + " --- |" * 11)
    for size in SIZES:
        for side in SIDES:
            print(row(size, side), flush=True)


if __name__ == "__main__":
    main()
