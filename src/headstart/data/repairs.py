"""JPEG files that lack their end: how much of the image is missing, and the file made whole."""

import random
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from headstart.arrays import Pixels

LARGEST_MISSING_SHARE = 0.02
"""The largest share of an image that may be missing, because it is then filled with grey."""

REPAIR = "the end of the file was missing"
"""What was repaired, as a clause."""

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
_ALONE = (0x01, *range(0xD0, 0xD9))
_COEFFICIENTS = 64
# Long enough to change the first block that the missing bytes would have determined.
_NOISE = random.Random(0).randbytes(4096).replace(b"\xff", b"\xfe")


def complete_jpeg(data: bytes, decode: Callable[[bytes], Image.Image]) -> bytes | None:
    """Return a JPEG that ends too early with an end, or None if too much of it is missing.

    Args:
        data: The content of a file of any format.
        decode: Decodes a file at its full size.
    """
    if not data.startswith(_START):
        return None
    cut = data.rstrip(b"\xff")
    if not _has_every_scan(cut):
        return None
    image, other = (_pixels(decode(cut + tail)) for tail in (_END, _NOISE + _END))
    return cut + _END if _share_after_first_change(image, other) <= LARGEST_MISSING_SHARE else None


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"))


def _share_after_first_change(image: Pixels, other: Pixels) -> float:
    """Return the share of pixels from the first that depends on the missing bytes, row by row."""
    changed = (image != other).any(axis=2)
    if not changed.any():
        return 0.0
    from_left = np.where(changed.any(axis=1), changed.argmax(axis=1), 0)
    missing = changed.shape[1] - from_left[changed.any(axis=1).argmax() :]
    return int(missing.sum()) / int(changed.size)


def _has_every_scan(data: bytes) -> bool:
    """Return whether the data of every coefficient begins, and the file has no end."""
    missing: dict[int, list[int]] = {}
    for marker, content in _segments(data):
        if marker == _END_OF_IMAGE:
            return False
        if marker in _FRAMES:
            missing = {name: [1] * _COEFFICIENTS for name in content[6::3]}
        elif marker == _START_OF_SCAN:
            first, last, bits = content[-3:]
            for name in content[1:-3:2]:
                planes = missing.get(name, [])
                planes[first : last + 1] = [bits % 16] * len(planes[first : last + 1])
    return bool(missing) and not any(any(planes) for planes in missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and content of each segment; the coded data between them is skipped."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        place += 1 if marker == 0xFF else 2
        if marker in (0x00, 0xFF, *_ALONE):
            continue
        size = 2 if marker == _END_OF_IMAGE else int.from_bytes(data[place : place + 2], "big")
        if len(content := data[place + 2 : place + size]) == size - 2:
            yield marker, content
        place += size
