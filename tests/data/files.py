"""Image files for tests: encoded by Pillow, or built in forms that Pillow does not write."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(
    width: int, height: int, colour: int, bits: int, pixels: bytes = b"", extra: bytes = b""
) -> bytes:
    """Build a PNG of any form, true or false, with extra chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + data


_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def png_of(values: np.ndarray, extra: bytes = b"") -> bytes:
    """Return values (height, width, channels) of 8 or 16 bits as a PNG."""
    height, width, channels = values.shape
    bits = 8 * values.dtype.itemsize
    rows = values.astype(values.dtype.newbyteorder(">"))
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    return png_file(width, height, _PNG_COLOURS[channels], bits, pixels, extra)


def tiff_of(values: np.ndarray, **options) -> bytes:
    """Return values as a TIFF; see `tifffile.imwrite`."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()
