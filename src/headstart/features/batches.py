"""Decode images into batches on several threads, a few batches ahead of the consumer."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import numpy as np

from headstart.arrays import Pixels
from headstart.data.contract import PixelContract
from headstart.data.decoding import LoadedImage, MinSide, decode_loaded, read_image
from headstart.data.quiet import quiet_libraries
from headstart.errors import DataError
from headstart.options import DecodeLimits
from headstart.threads import map_in_order
from headstart.urls import reading_threads

_AHEAD_BATCHES = 4


class Decoding(Protocol):
    """How images are decoded: a `Preprocess`, or what does the like."""

    @property
    def contract(self) -> PixelContract:
        """How the pixels of a file are read."""
        ...

    @property
    def min_side(self) -> MinSide:
        """What a photo of reduced scale needs."""
        ...

    def pixels_of(self, loaded: LoadedImage) -> Pixels:
        """Return the pixels of an image, (height, width, 3)."""
        ...


@contextmanager
def pixel_batches(
    files: Collection[tuple[str, str]],
    batch_size: int,
    preprocess: Decoding,
    limits: DecodeLimits | None = None,
) -> Iterator[Iterator[Pixels]]:
    """Decode files on a thread pool, a few batches ahead of the consumer.

    Args:
        files: sha256 and path of each image.
        batch_size: Images per batch; the last batch may have fewer.
        preprocess: How images are decoded.
        limits: Maximum bytes and pixels per image.

    Yields:
        An iterator of arrays (images, height, width, 3), in the order of the files; images of
        different sizes need batches of one.
    """
    limits = limits or DecodeLimits()

    def load(file: tuple[str, str]) -> Pixels:
        sha256, path = file
        data = read_image(path)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"'{path}' changed while it was being read. Run again.")
        side, contract = preprocess.min_side, preprocess.contract
        return preprocess.pixels_of(
            decode_loaded(data, path=path, min_side=side, contract=contract, limits=limits)
        )

    threads = max((reading_threads(path) for _, path in islice(files, 1)), default=1)
    with quiet_libraries(), ThreadPoolExecutor(threads) as pool:
        try:
            loaded = map_in_order(
                pool, load, files, ahead=max(threads, _AHEAD_BATCHES * batch_size)
            )
            yield stack_batches(loaded, batch_size)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def stack_batches(arrays: Iterable[Pixels], size: int) -> Iterator[Pixels]:
    """Stack arrays into batches of the given size; the last batch may be smaller."""
    batch: list[Pixels] = []
    for array in arrays:
        batch.append(array)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
