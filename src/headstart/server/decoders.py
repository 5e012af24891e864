"""The threads that decode images, and a bound on the memory that they need together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from headstart.arrays import Pixels
from headstart.data.decoding import decode_image, pixel_count
from headstart.data.preprocessing import Preprocess
from headstart.data.quiet import quiet_libraries
from headstart.options import DecodeLimits

# The pixels of all images that are decoded at a time, in images of the largest size.
_LARGEST = 2


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

    def decode(self, name: str, data: bytes, preprocess: Preprocess) -> Pixels:
        """Decode an image file for a network.

        Raises:
            UnreadableImage: It cannot be decoded, or is too large.
        """
        with quiet_libraries(), self._room_for(data):
            image = decode_image(
                data,
                path=name,
                min_side=preprocess.min_side,
                contract=preprocess.contract,
                limits=self._limits,
            )
            return preprocess.pixels(image)

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
