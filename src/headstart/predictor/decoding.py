"""Decode images ahead of the network, and keep the errors in their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from headstart.arrays import Features, Pixels
from headstart.data.inputs import ImageInput, ImagesLike, each_image
from headstart.data.preprocessing import Preprocess
from headstart.errors import UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.options import DecodeLimits
from headstart.threads import map_in_order
from headstart.urls import reading_threads

AHEAD = 32
"""How many images wait decoded."""

Item = TypeVar("Item")
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

    inputs = _inputs(images)
    first = list(islice(inputs, 1))
    with ThreadPoolExecutor(max(map(_threads, first), default=1)) as pool:
        yield from map_in_order(pool, work, chain(first, inputs), ahead=ahead)


def _threads(image: ImageInput | UnreadableImage) -> int:
    return reading_threads(image.path if isinstance(image, UnreadableImage) else image.name)


def with_features(
    images: Iterable[tuple[Item, Pixels] | UnreadableImage],
    extractor: FeatureExtractor,
    stored_as: str,
) -> Iterator[tuple[list[Item | UnreadableImage], Features]]:
    """Yield images in batches with their features.

    Args:
        images: What stands for each image, and its preprocessed pixels; or the error of one that
            cannot be decoded.
        extractor: Computes the features.
        stored_as: The precision to which they are rounded.

    Yields:
        What stands for each image, or its error; and the features of those without an error,
        (images, width).
    """
    pending: deque[Item | UnreadableImage] = deque()

    def readable() -> Iterator[Pixels]:
        for image in images:
            if isinstance(image, UnreadableImage):
                pending.append(image)
            else:
                pending.append(image[0])
                yield image[1]

    for features in extractor.of_pixels(readable()):
        yield _taken(pending, len(features)), as_stored(features, stored_as)
    if pending:
        yield list(pending), np.zeros((0, extractor.layout.width), np.float32)


def _taken(pending: deque[Item | UnreadableImage], readable: int) -> list[Item | UnreadableImage]:
    """Remove and return images up to the given number of readable ones."""
    taken = []
    while readable:
        taken.append(pending.popleft())
        readable -= not isinstance(taken[-1], UnreadableImage)
    return taken


def _inputs(images: ImagesLike) -> Iterator[ImageInput | UnreadableImage]:
    for image in each_image(images):
        try:
            yield ImageInput.of(image)
        except UnreadableImage as error:
            yield error
