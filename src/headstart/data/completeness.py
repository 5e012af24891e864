"""Files whose header announces more pixels than they have, which Pillow fills with zeros."""

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

_PNG_START = 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Where the pixels of each pass of an interlaced PNG begin and how far apart they are: x, y.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_LAST_PASS, _NO_PASSES = (0, 1, 1, 2), ((0, 0, 1, 1),)
_PIECE = 2**20
_LARGEST_RATIO = 1032  # of deflate
_FEWER_ROWS = "it has fewer rows than its header says"


def check_header(image: ImageFile, data: bytes) -> None:
    """Check that an opened file can have the pixels that it announces, before they are loaded.

    Raises:
        ValueError: The strips or tiles of a TIFF do not cover it, or the data of a PNG would be
            short even if they were compressed as much as deflate can.
    """
    boxes = [tile.extents for tile in image.tile if tile.extents]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    if image.format == "TIFF" and covered < image.width * image.height:
        raise ValueError("its strips or tiles do not cover it")
    if image.format == "PNG":
        available = sum(map(len, _chunks(data, b"IDAT")))
        if _size_of_rows(data) > _LARGEST_RATIO * available:
            raise ValueError(_FEWER_ROWS)


def check_rows(image: Image.Image, data: bytes) -> None:
    """Check that a loaded PNG has a value for each pixel, if it may lack some.

    Raises:
        ValueError: It does not.
    """
    if data.startswith(b"\x89PNG") and _ends_in_zeros(image) and _has_missing_rows(data):
        raise ValueError(_FEWER_ROWS)


def _ends_in_zeros(image: Image.Image) -> bool:
    return not np.asarray(image.crop((0, image.height - 1, image.width, image.height))).any()


def _size_of_rows(data: bytes) -> int:
    """Return the bytes that the pixels of a PNG have before they are compressed."""
    content = b"".join(_chunks(data, b"IHDR"))
    width, height = (int.from_bytes(content[place : place + 4], "big") for place in (0, 4))
    bits, interlaced = content[8] * _CHANNELS[content[9]], content[12]
    size = 0
    for left, top, x_step, y_step in (*_PASSES, _LAST_PASS) if interlaced else _NO_PASSES:
        columns, rows = -(-(width - left) // x_step), -(-(height - top) // y_step)
        if columns > 0 and rows > 0:
            size += rows * (1 + -(-columns * bits // 8))
    return size


def _has_missing_rows(data: bytes) -> bool:
    missing = _size_of_rows(data)
    inflater = zlib.decompressobj()
    for chunk in _chunks(data, b"IDAT"):
        while chunk and missing > 0 and not inflater.eof:
            missing -= len(inflater.decompress(chunk, _PIECE))
            chunk = inflater.unconsumed_tail
    return missing - len(inflater.flush()) > 0


def _chunks(data: bytes, wanted: bytes) -> Iterator[bytes]:
    """Yield the content of each chunk of a kind in a PNG."""
    place = _PNG_START
    while place + 12 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind == wanted:
            yield data[place + 8 : place + 8 + size]
        place += 12 + size
