"""The threads that decode images, and a bound on the memory that they need together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from headstart.arrays import Pixels
from headstart.data.decoding import LoadedImage, convert, load_image, pixel_count
from headstart.data.preprocessing import Preprocess
from headstart.data.quiet import quiet_libraries
from headstart.options import DecodeLimits

# The pixels of all images that are decoded at a time, in images of the largest size.
_LARGEST = 2


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as a network reads it.

    Attributes:
        pixels: The pixels, (size, size, 3), as `Preprocess.pixels` returns them.
        size: Width and height of the image as it is seen.
        decoded: Width and height that it was decoded at, which may be a fraction of these.
        begin: Where the image begins in what was decoded; see `LoadedImage`.
    """

    pixels: Pixels
    size: tuple[int, int]
    decoded: tuple[int, int]
    begin: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, loaded: LoadedImage, preprocess: Preprocess) -> Decoded:
        """Preprocess an image that has been converted."""
        pixels = preprocess.pixels(loaded.image)
        return cls(pixels, loaded.size, loaded.image.size, loaded.begin)


class Decoders:
    """Decodes images on threads.

    A small file can contain a large image, whose pixels take up to 20 bytes each while they are
    converted. So large images wait for each other, and small ones pass.

    Args:
        limits: Limits on a single image.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(os.cpu_count(), "decode")
        self._free = _LARGEST * limits.max_pixels
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], None]) -> None:
        """Run something on a thread."""
        self._threads.submit(work)

    def decode(self, name: str, data: bytes, preprocess: Preprocess) -> Decoded:
        """Decode an image file for a network.

        Raises:
            UnreadableImage: It cannot be decoded, or is too large.
        """
        with quiet_libraries(), self._room_for(data):
            contract = preprocess.contract
            loaded = load_image(
                data,
                path=name,
                min_side=preprocess.min_side,
                contract=contract,
                limits=self._limits,
            )
            image = convert(loaded.image, path=name, contract=contract)
            return Decoded.of(replace(loaded, image=image), preprocess)

    @contextmanager
    def _room_for(self, data: bytes) -> Iterator[None]:
        """Wait until there is room for the pixels of a file."""
        count = min(pixel_count(data) or len(data), self._limits.max_pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()
