"""The size of an image from the header of its file: as it is stored, and as it is seen."""

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ExifTags, Image, ImageFile

from headstart.data.decoding import load_image, read_image
from headstart.data.formats import FORMATS
from headstart.data.heif import is_heif, open_heif
from headstart.data.metadata import without_metadata
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage

_THREADS = 4
_TRANSPOSED = (5, 6, 7, 8)
_HEAD = 4096
_ORIENTATION = int(ExifTags.Base.Orientation)
_PNG_START = 8


@dataclass(frozen=True)
class ImageSize:
    """The size of an image.

    Attributes:
        width: The width in pixels as the file stores it.
        height: The height as the file stores it.
        orientation: The orientation in its metadata, 1 to 8: how it is turned before it is shown.
    """

    width: int
    height: int
    orientation: int = 1

    @property
    def is_transposed(self) -> bool:
        """Whether rows are columns when it is shown."""
        return self.orientation in _TRANSPOSED

    @property
    def stored(self) -> tuple[int, int]:
        """The width and height as the file stores them."""
        return self.width, self.height

    @property
    def seen(self) -> tuple[int, int]:
        """The width and height of the image that is shown."""
        return (self.height, self.width) if self.is_transposed else (self.width, self.height)


def read_sizes(paths: Sequence[str]) -> list[ImageSize | None]:
    """Return the sizes of images; None for each whose header cannot be read."""
    with quiet_libraries(), ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_read_size, paths))


def _read_size(path: str) -> ImageSize | None:
    """Return the size of an image, of whose file only the header is read if it is sound."""
    try:
        with Image.open(path, formats=_formats()) as image:
            return _size_of(image)
    except Exception:  # Pillow raises nearly anything on a damaged file.
        pass
    try:
        data = Path(path).read_bytes()
        opened = open_heif(data) if is_heif(data[:_HEAD]) else _open(without_metadata(data))
        with opened as image:
            return _size_of(image)
    except Exception:  # As above.
        pass
    try:
        return ImageSize(*load_image(read_image(path), path=path).image.size)
    except UnreadableImage:  # Checking the file will say so.
        return None


@cache
def _formats() -> tuple[str, ...]:
    """Return the allowed formats that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _open(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data), formats=_formats())


def _size_of(image: ImageFile.ImageFile) -> ImageSize:
    orientation = _orientation(image)
    if image.format == "TIFF" and orientation in _TRANSPOSED:  # Pillow has turned its size.
        return ImageSize(image.height, image.width, orientation)
    return ImageSize(image.width, image.height, orientation)


def _orientation(image: ImageFile.ImageFile) -> int:
    """Return the orientation of an image; 1 if it has none, or one that cannot be read."""
    try:
        if image.format == "PNG" and not _has_late_metadata(image):
            value = Image.Image.getexif(image).get(_ORIENTATION)  # That of PNG loads the pixels.
        else:
            value = image.getexif().get(_ORIENTATION)
    except Exception:  # As in `metadata.upright`.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_late_metadata(image: ImageFile.ImageFile) -> bool:
    """Return whether a PNG has metadata after its pixels, which Pillow finds only by loading it."""
    file, late = image.fp, False
    if file is None:
        return True
    place, at = _PNG_START, file.tell()
    try:
        while True:
            file.seek(place)
            head = file.read(8)
            if len(head) < 8:
                return False
            length, kind = struct.unpack(">I4s", head)
            late = late or kind == b"IDAT"
            if late and kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt"):
                return True
            place += 12 + length
    finally:
        file.seek(at)
