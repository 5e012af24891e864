"""Decode the images of a prediction ahead of the network, and keep the errors in their place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from headstart.arrays import Pixels
from headstart.data.inputs import ImageInput, ImagesLike, each_image
from headstart.data.preprocessing import Preprocess
from headstart.errors import UnreadableImage
from headstart.features.batches import map_in_order
from headstart.options import DecodeLimits

AHEAD = 32
"""How many images wait decoded."""

Result = TypeVar("Result")


def decode_ahead(
    images: ImagesLike, preprocess: Preprocess, limits: DecodeLimits | None = None
) -> Iterator[tuple[str, Pixels | UnreadableImage]]:
    """Yield the name of each image with its pixels, or the error if it cannot be decoded.

    See `work_ahead`.
    """
    side, contract = preprocess.min_side, preprocess.contract

    def decode(image: ImageInput) -> Pixels:
        return preprocess.pixels(image.decode(min_side=side, contract=contract, limits=limits))

    return work_ahead(images, decode)


def work_ahead(
    images: ImagesLike, decode: Callable[[ImageInput], Result], *, ahead: int = AHEAD
) -> Iterator[tuple[str, Result | UnreadableImage]]:
    """Yield the name of each image with what it is decoded to, or the error if it cannot be.

    A few images are decoded ahead on several threads. Arrays and files are read on the caller's
    thread, so that the caller may reuse them for the next image.

    Args:
        images: The images.
        decode: Decodes an image; it raises `UnreadableImage` if it cannot.
        ahead: The number of images that wait decoded, at most.
    """

    def work(image: ImageInput | UnreadableImage) -> tuple[str, Result | UnreadableImage]:
        if isinstance(image, UnreadableImage):
            return image.path, image
        try:
            return image.name, decode(image)
        except UnreadableImage as error:
            return image.name, error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from map_in_order(pool, work, _inputs(images), ahead=ahead)


def _inputs(images: ImagesLike) -> Iterator[ImageInput | UnreadableImage]:
    for image in each_image(images):
        try:
            yield ImageInput.of(image)
        except UnreadableImage as error:
            yield error
