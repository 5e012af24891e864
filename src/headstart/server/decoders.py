"""The threads that decode images, and a bound on the memory that they need together."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from PIL import Image

from headstart.arrays import Pixels
from headstart.data.decoding import convert, load_image
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
        with self._room_for(data), quiet_libraries():
            loaded = load_image(
                data,
                path=name,
                min_side=preprocess.min_side,
                contract=preprocess.contract,
                limits=self._limits,
            )
            image = convert(loaded.image, path=name, contract=preprocess.contract)
            return preprocess.pixels(image)

    @contextmanager
    def _room_for(self, data: bytes) -> Iterator[None]:
        """Wait until there is room for the pixels of a file."""
        count = min(_pixel_count(data), self._limits.max_pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


def _pixel_count(data: bytes) -> int:
    """Return the pixels of a file by its header; for one of another kind, by its size."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width * image.height
    except Exception:  # Whatever is wrong with it is found when it is decoded.
        return len(data)
