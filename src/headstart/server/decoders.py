"""The threads that decode images, and a bound on the memory that they need together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from headstart.cores import cores
from headstart.data.contract import PixelContract
from headstart.data.decoding import LoadedImage, MinSide, decode_loaded, pixel_count
from headstart.data.quiet import quiet_libraries
from headstart.options import DecodeLimits

Work: TypeAlias = Callable[[Callable[[], None]], None]
"""What runs on a thread; it is passed a function that frees its room."""

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
        self._threads = ThreadPoolExecutor(cores(), "decode")
        self._free = _LARGEST * limits.max_pixels
        self._waiting: list[tuple[int, Work]] = []
        self._lock = threading.Lock()

    def submit(self, work: Work, data: bytes | None) -> None:
        """Run something on a thread once there is room for the pixels of a file.

        Args:
            work: What to run. It is passed a function, which it must have called once when the room
                is not needed any more.
            data: The content of the file; None if no room is needed.
        """
        self._threads.submit(self._wait, work, data)

    def decode(
        self, name: str, data: bytes, needed: MinSide, contract: PixelContract
    ) -> LoadedImage:
        """Decode an image file for a network.

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

    def _wait(self, work: Work, data: bytes | None) -> None:
        count = min(pixel_count(data) or len(data), self._limits.max_pixels) if data else 0
        with self._lock:
            self._waiting.append((count, work))
        self._start()

    def _start(self) -> None:
        """Start what there is room for; no thread is kept by what waits."""
        ready: list[tuple[int, Work]] = []
        waiting: list[tuple[int, Work]] = []
        with self._lock:
            for count, work in self._waiting:
                fits = count <= self._free
                self._free -= count if fits else 0
                (ready if fits else waiting).append((count, work))
            self._waiting = waiting
        for count, work in ready:
            self._threads.submit(work, partial(self._release, count))

    def _release(self, count: int) -> None:
        with self._lock:
            self._free += count
        self._start()
