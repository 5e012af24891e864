"""HEIC and HEIF images, which Pillow reads only with an optional package."""

import io

from PIL.ImageFile import ImageFile

_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))


class HeifMissing(Exception):
    """The package that reads HEIF is not installed."""


def is_heif(data: bytes) -> bool:
    """Return whether a file names a brand of HEIF in its first box."""
    if data[4:8] != b"ftyp":
        return False
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return any(box[place : place + 4] in _BRANDS for place in range(0, len(box), 4))


def open_heif(data: bytes) -> ImageFile:
    """Open a HEIF image without loading its pixels.

    The opener is called itself, as registering it would change Pillow for the whole process.

    Raises:
        HeifMissing: pillow-heif is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise HeifMissing from None
    opened: ImageFile = HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]
    return opened
