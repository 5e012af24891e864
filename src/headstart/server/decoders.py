"""The threads that decode images, and a bound on the memory that they need together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from headstart.data.contract import PixelContract
from headstart.data.decoding import LoadedImage, MinSide, decode_loaded, pixel_count
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

    def decode(
        self, name: str, data: bytes, needed: MinSide, contract: PixelContract
    ) -> LoadedImage:
        """Decode an image file for a network, once there is room for its pixels.

        Args:
            name: The name of the image.
            data: The content of the file.
            needed: The scale at which it is needed.
            contract: How the pixels of a file are read.

        Raises:
            UnreadableImage: It cannot be decoded, or is too large.
        """
        with quiet_libraries():
            return decode_loaded(
                data, path=name, min_side=needed, contract=contract, limits=self._limits
            )

    @contextmanager
    def room_for(self, data: bytes) -> Iterator[None]:
        """Wait until there is room for the pixels of a file, and keep it for a block."""
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
