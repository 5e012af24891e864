"""Metadata of image files: which way is up, and files without the rest, which may be broken.

Only the orientation matters for the pixels. Profiles, texts, times and cameras do not, so that a
mistake in them must not cost an image.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import ExifTags, Image

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_TIFF_STARTS = {b"II*\0": "<", b"MM\0*": ">"}

# Chunks, segments and tags without which the pixels or the orientation would change.
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_JFIF, _EXIF, _ADOBE, _START_OF_SCAN, _COMMENT = 0xE0, 0xE1, 0xEE, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_WEBP_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"EXIF")
_WEBP_EXIF, _WEBP_OTHER = 0x08, 0x20 | 0x04
_TIFF_TAGS = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
        *(322, 323, 324, 325, 332, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532),
    )
)
_ORIENTATION, _SHORT = int(ExifTags.Base.Orientation), 3
_AVIF_EXIF = re.compile(rb"(infe[\x02\x03].{3}(?:.{4}|.{6}))Exif", re.DOTALL)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ON_ITS_SIDE = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))


def upright(image: Image.Image, read_exif: Callable[[], Image.Exif]) -> Image.Image:
    """Turn a loaded image by its EXIF orientation; one that cannot be read means upright."""
    turn = _turn_of(read_exif)
    return image if turn is None else image.transpose(turn)


def seen_size(size: tuple[int, int], read_exif: Callable[[], Image.Exif]) -> tuple[int, int]:
    """Return width and height of an image as it is seen, that is, after its EXIF orientation."""
    return size[::-1] if _turn_of(read_exif) in _ON_ITS_SIDE else size


def seen_begin(
    beyond: tuple[float, float], read_exif: Callable[[], Image.Exif]
) -> tuple[float, float]:
    """Return how many pixels are left of a turned image and above it.

    Args:
        beyond: How many were to its right and below it before it was turned.
        read_exif: Returns its metadata.
    """
    right, below = beyond
    begins = {
        Image.Transpose.FLIP_LEFT_RIGHT: (right, 0.0),
        Image.Transpose.ROTATE_180: (right, below),
        Image.Transpose.FLIP_TOP_BOTTOM: (0.0, below),
        Image.Transpose.ROTATE_270: (below, 0.0),
        Image.Transpose.TRANSVERSE: (below, right),
        Image.Transpose.ROTATE_90: (0.0, right),
    }
    turn = _turn_of(read_exif)
    return begins.get(turn, (0.0, 0.0)) if turn is not None else (0.0, 0.0)


def _turn_of(read_exif: Callable[[], Image.Exif]) -> Image.Transpose | None:
    try:
        orientation = read_exif().get(_ORIENTATION)
    except Exception:  # Pillow raises nearly anything on broken EXIF.
        return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def without_metadata(data: bytes) -> bytes:
    """Return an image file with its pixels and orientation, but without other metadata.

    Args:
        data: The content of a file of any format.

    Returns:
        The same bytes if there is nothing to remove, or if this is not known of the format.
    """
    if data.startswith(_PNG_START):
        return _PNG_START + b"".join(_png_chunks(data))
    if data.startswith(_JPEG_START):
        return data[:2] + b"".join(_jpeg_segments(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(list(_webp_chunks(data)))
    if data[:4] in _TIFF_STARTS:
        return _tiff(data, _TIFF_STARTS[data[:4]])
    if data[4:8] == b"ftyp":
        return _AVIF_EXIF.sub(rb"\1skip", data)
    if data[4:8] == b"jP  ":
        head, codestream, pixels = data.partition(b"jp2c")
        return head.replace(b"res ", b"free") + codestream + pixels
    return data


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the chunks that matter, and whatever follows the last complete one."""
    place = len(_PNG_START)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        chunk, kind = data[place:end], data[place + 4 : place + 8]
        damaged = zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big")
        if kind in _PNG_CHUNKS and not (kind == b"eXIf" and damaged):
            yield chunk
        place = end


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """Yield the segments that matter, and the scans. Bytes between segments are skipped."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0xFF):
            place += 1
            continue
        if marker == _START_OF_SCAN:
            yield data[place:]
            return
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        segment = data[place:end]
        if marker == _EXIF:
            kept = segment[4:].startswith(b"Exif\0\0")
        else:
            kept = marker in (_JFIF, _ADOBE) or marker not in (*_APPLICATION, _COMMENT)
        if kept:
            yield segment
        place = end


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each complete chunk that matters."""
    place = 12
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        content = data[place + 8 : place + 8 + size]
        if kind in _WEBP_CHUNKS and len(content) == size:
            yield kind, content
        place += 8 + size + size % 2


def _webp(chunks: list[tuple[bytes, bytes]]) -> bytes:
    has_exif = any(kind == b"EXIF" for kind, _ in chunks)
    body = b"WEBP"
    for kind, content in chunks:
        if kind == b"VP8X" and content:
            flags = content[0] & ~(_WEBP_OTHER | _WEBP_EXIF) | (_WEBP_EXIF if has_exif else 0)
            content = bytes((flags,)) + content[1:]
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(data: bytes, order: str) -> bytes:
    """Keep only the tags of the first image that matter. Its values stay where they are."""
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        entries = [
            data[place : place + 12] for place in range(start + 2, start + 2 + 12 * count, 12)
        ]
        kept = [entry for entry in entries if _is_pixel_tag(entry, order)]
    except struct.error:
        return data
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    return data[:start] + directory + data[start + len(directory) :]


def _is_pixel_tag(entry: bytes, order: str) -> bool:
    tag, kind, count, value = struct.unpack(order + "HHIH", entry[:10])
    if tag == _ORIENTATION:
        return (kind, count) == (_SHORT, 1) and value in range(1, 9)
    return tag in _TIFF_TAGS
