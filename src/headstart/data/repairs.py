"""JPEG files that lack their end: how much of the image is missing, and the file made whole."""

import random
import re
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

LARGEST_MISSING_SHARE = 0.02
"""The largest share of an image that may be missing, because it is then filled with grey."""

REPAIR = "the end of the file was missing"
"""What was repaired, as a clause."""

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # baseline, extended, progressive; arithmetic coding
_SHORTEST_SCAN = 6
# Markers other than restarts, and those of them that have no content.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_ALONE = (0x01, 0xD8, _END_OF_IMAGE)
_COEFFICIENTS, _GREY = 64, 128
# Long enough to change the first block that the missing bytes would have determined.
_NOISE = random.Random(0).randbytes(4096).replace(b"\xff", b"\xfe")


def complete_jpeg(data: bytes, open_file: Callable[[bytes], ImageFile]) -> bytes | None:
    """Return a JPEG that ends too early with an end, or None if too much of it is missing.

    Args:
        data: The content of a file of any format.
        open_file: Opens a file.
    """
    if not data.startswith(_START):
        return None
    cut = data.rstrip(b"\xff")
    if not _has_every_scan(cut):
        return None
    complete = _missing_share(cut, open_file) <= LARGEST_MISSING_SHARE
    return cut + _END if complete else None


def check_end(image: Image.Image, data: bytes, open_file: Callable[[bytes], ImageFile]) -> None:
    """Check that a loaded JPEG that has an end does not lack many pixels before it.

    It is decoded again only if it may: if its last row is grey, or if it is progressive and lacks
    scans. These may be left out on purpose, but then the last one that it has is complete. If it
    has all of them, part of the last one may be missing, which only refines pixels.

    Args:
        image: The image, as it is stored.
        data: The content of its file, of any format.
        open_file: Opens a file.

    Raises:
        ValueError: It does.
    """
    if not data.startswith(_START):
        return
    progressive = "progressive" in image.info
    if not progressive and not _ends_in_grey(image):
        return
    cut = data[: _place_of_end(data)]
    if progressive and _has_every_scan(cut) and not _ends_in_grey(image):
        return
    if _missing_share(cut, open_file) > LARGEST_MISSING_SHARE:
        raise ValueError("the pixels at its end are missing")


def _ends_in_grey(image: Image.Image) -> bool:
    """Return whether the last row has the grey that the decoder gives missing pixels."""
    row = image.crop((0, image.height - 1, image.width, image.height)).convert("RGB")
    return bool((np.abs(np.asarray(row).astype(int) - _GREY) <= 1).all())


def _missing_share(data: bytes, open_file: Callable[[bytes], ImageFile]) -> float:
    """Return the share of pixels from the first that the missing bytes determine, row by row."""
    image, other = (
        np.asarray(open_file(data + tail).convert("RGB")) for tail in (_END, _NOISE + _END)
    )
    changed = (image != other).any(axis=2)
    if not changed.any():
        return 0.0
    from_left = np.where(changed.any(axis=1), changed.argmax(axis=1), 0)
    missing = changed.shape[1] - from_left[changed.any(axis=1).argmax() :]
    return int(missing.sum()) / int(changed.size)


def _place_of_end(data: bytes) -> int:
    """Return where the first image of a file ends."""
    ends = (place for place, marker, _ in _segments(data) if marker == _END_OF_IMAGE)
    return next(ends, len(data))


def _has_every_scan(data: bytes) -> bool:
    """Return whether the data of every coefficient begins, and the file has no end."""
    missing: dict[int, list[int]] = {}
    for _, marker, content in _segments(data):
        if marker == _END_OF_IMAGE:
            return False
        if marker in _FRAMES:
            missing = {name: [1] * _COEFFICIENTS for name in content[6::3]}
        elif marker == _START_OF_SCAN and len(content) >= _SHORTEST_SCAN:
            first, last, bits = content[-3:]
            for name in content[1:-3:2]:
                planes = missing.get(name, [])
                planes[first : last + 1] = [bits % 16] * len(planes[first : last + 1])
    return bool(missing) and not any(any(planes) for planes in missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the place, marker and content of each segment. Coded data between them is skipped."""
    place = len(_START) - 1
    while found := _MARKER.search(data, place):
        marker = found[0][1]
        if marker == _END_OF_IMAGE:
            yield found.start(), marker, b""
        size = int.from_bytes(data[found.end() : found.end() + 2], "big")
        alone = marker in _ALONE
        content = b"" if alone else data[found.end() + 2 : found.end() + size]
        if not alone and len(content) == size - 2:
            yield found.start(), marker, content
        place = found.end() + (0 if alone else max(size, 2))
