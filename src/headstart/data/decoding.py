"""Decode image files to pixels, in the same way for training, prediction, export and the server."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, log2
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from headstart.arrays import Pixels
from headstart.data.colour import has_alpha, to_rgb_or_grey
from headstart.data.completeness import check_header, check_rows
from headstart.data.contract import CURRENT, FIRST, PixelContract
from headstart.data.faces import SEARCHED_SIDE, largest_face
from headstart.data.formats import FORMATS, format_problem
from headstart.data.heif import HeifMissing, is_heif, open_heif
from headstart.data.medical.dicom import decode_dicom, dicom_header
from headstart.data.medical.elements import INSTALL, MedicalMissing
from headstart.data.medical.files import is_dicom
from headstart.data.metadata import seen_begin, seen_size, upright, without_metadata
from headstart.data.pixel_limits import too_many_pixels
from headstart.data.repairs import REPAIR, check_end, complete_jpeg
from headstart.data.sixteen_bits import check_depth, has_sixteen_bits, read_sixteen_bits
from headstart.data.tiling import Tile, TileScale
from headstart.errors import UnreadableImage, reason_of
from headstart.files import file_sha256
from headstart.options import DecodeLimits
from headstart.urls import is_url

# A JPEG is decoded at 1/2, 1/4 or 1/8 scale, but to no less than 3/2 of the size needed, so that
# the antialiased resize that follows determines the result. Decoding down to the size itself
# changed 1.4 % of predictions, down to 3/2 of it 0.7 %.
_DRAFT_MARGIN = 1.5
# Larger images that are cut into tiles are decoded down to the size itself, as each pixel takes 4
# bytes. Images of so many pixels are read only where a limit was raised.
_LARGE = 100_000_000

MinSide: TypeAlias = int | TileScale | None
"""Pixels that the shorter side of an image needs, or the scale of its tiles; None for all of it."""

# The Exif tags of a camera's maker and model.
_CAMERA_TAGS = (0x010F, 0x0110)


@dataclass(frozen=True)
class LoadedImage:
    """An image whose pixels are decoded, but not yet converted to red, green and blue.

    Attributes:
        image: The image, upright, in any mode, perhaps with transparent pixels.
        size: Width and height of the whole image as it is seen, before any reduction of its scale.
        begin: Where the image begins in `image`, from the left and from the top, in pixels of it:
            a JPEG of reduced scale has pixels for whole blocks, beyond the edges of the image.
        repair: What was repaired in the file, as a clause; None if nothing was.
    """

    image: Image.Image
    size: tuple[int, int]
    begin: tuple[float, float] = (0.0, 0.0)
    repair: str | None = None

    def box_of(self, tile: Tile) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom edge of a tile, in pixels of `image`."""
        reduced, (left, top) = reduction(max(self.size), max(self.image.size)), self.begin
        right, bottom = tile.left + tile.width, tile.top + tile.height
        return (
            *(left + tile.left / reduced, top + tile.top / reduced),
            *(left + right / reduced, top + bottom / reduced),
        )


def as_loaded(image: Image.Image) -> LoadedImage:
    """Return an image in memory as one that was loaded."""
    return LoadedImage(image, image.size)


def decode(
    data: bytes,
    *,
    path: str = "bytes",
    min_side: int | None = None,
    contract: PixelContract = CURRENT,
    limits: DecodeLimits | None = None,
) -> Pixels:
    """Decode an image, upright, to RGB.

    Args:
        data: The content of an image file.
        path: Name of the file in error messages.
        min_side: Pixels that the shorter side needs. A JPEG at least three times as large is
            decoded at 1/2, 1/4 or 1/8 scale, never below 3/2 of this.
        contract: How pixels become red, green and blue.
        limits: Maximum bytes and pixels.

    Returns:
        Array of shape (height, width, 3), values 0 to 255.

    Raises:
        UnreadableImage: It is not an image, is damaged, is fully transparent, or is over a limit.
    """
    image = decode_image(data, path=path, min_side=min_side, contract=contract, limits=limits)
    return np.asarray(image.convert("RGB"))


def decode_image(
    data: bytes,
    *,
    path: str = "bytes",
    min_side: int | None = None,
    contract: PixelContract = CURRENT,
    limits: DecodeLimits | None = None,
) -> Image.Image:
    """Decode as `decode` does, but keep a grey image grey, which is three times cheaper to resize.

    Returns:
        A loaded image of mode "RGB", or "L" where red, green and blue are all equal.
    """
    return decode_loaded(data, path=path, min_side=min_side, contract=contract, limits=limits).image


def decode_loaded(
    data: bytes,
    *,
    path: str = "bytes",
    min_side: MinSide = None,
    contract: PixelContract = CURRENT,
    limits: DecodeLimits | None = None,
) -> LoadedImage:
    """Decode as `decode_image` does, and say where the image is in what was decoded.

    Raises:
        UnreadableImage: As `decode`.
    """
    if contract.crop == "face":
        whole = replace(contract, crop="none")
        image = decode_image(data, path=path, min_side=SEARCHED_SIDE, contract=whole, limits=limits)
        return as_loaded(crop_face(image, path=path, min_side=min_side))
    loaded = load_image(data, path=path, min_side=min_side, contract=contract, limits=limits)
    return replace(loaded, image=convert(loaded.image, path=path, contract=contract))


def crop_face(image: Image.Image, *, path: str, min_side: MinSide) -> Image.Image:
    """Return the largest face of an image of mode "RGB" or "L".

    Raises:
        UnreadableImage: No face is found.
    """
    return largest_face(image, path=path, side=min_side if isinstance(min_side, int) else None)


def convert(image: Image.Image, *, path: str, contract: PixelContract) -> Image.Image:
    """Convert a loaded image to mode "RGB", or "L" where red, green and blue are all equal.

    Raises:
        UnreadableImage: It is fully transparent, or has values that are not finite.
    """
    with translate_errors(path, DecodeLimits()):
        return to_rgb_or_grey(image, contract)


def load_image(
    data: bytes,
    *,
    path: str = "bytes",
    min_side: MinSide = None,
    contract: PixelContract = CURRENT,
    limits: DecodeLimits | None = None,
) -> LoadedImage:
    """Decode the pixels of an image file, and repair it if that is possible.

    Raises:
        UnreadableImage: As `decode`, except that it may be fully transparent.
    """
    limits = limits or DecodeLimits()
    _raise_own_limit(limits.max_pixels)
    if len(data) > limits.max_bytes:
        raise UnreadableImage(
            path, f"it has {len(data):,} bytes; the limit is {limits.max_bytes:,}"
        )
    if not data:
        raise UnreadableImage(path, "the file is empty")

    def load(file: bytes) -> LoadedImage:
        return _load(file, path, min_side, contract, limits)

    with translate_errors(path, limits):
        return _load_or_repair(data, load)


@contextmanager
def translate_errors(path: str, limits: DecodeLimits) -> Iterator[None]:
    """Turn whatever is raised while an image is decoded into `UnreadableImage`."""
    try:
        yield
    except UnreadableImage as error:
        raise UnreadableImage(path, error.reason) from None
    except HeifMissing:
        how = "to read it, run pip install 'headstart[heif]'"
        raise UnreadableImage(path, f"it is a HEIC image; {how}") from None
    except MedicalMissing:
        raise UnreadableImage(path, f"it is a DICOM file; to read it, {INSTALL}") from None
    except UnidentifiedImageError:
        raise UnreadableImage(path, "it is not an image of a known format") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(path, too_many_pixels(limits)) from None
    except MemoryError:
        raise UnreadableImage(path, "there is not enough memory to decode it") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on a damaged file.
        raise UnreadableImage(path, f"it is damaged ({_one_line(error)})") from None


# Errors that no repair of the file avoids.
_FINAL = (
    UnreadableImage,
    HeifMissing,
    MedicalMissing,
    Image.DecompressionBombError,
    MemoryError,
)


def _load_or_repair(data: bytes, load: Callable[[bytes], LoadedImage]) -> LoadedImage:
    """Load a file; if that fails, without its metadata; if that fails, with the end of a JPEG."""
    try:
        return load(data)
    except _FINAL:
        raise
    except Exception as error:  # See above.
        first_error = error
    plain = without_metadata(data)
    try:
        if plain != data:
            return load(plain)
        if whole := complete_jpeg(plain, _open):
            return replace(load(whole), repair=REPAIR)
    except _FINAL:
        raise
    except Exception:
        raise first_error from None
    raise first_error


class Header(NamedTuple):
    """What the header of an image file says.

    Attributes:
        width: Stored width in pixels, before EXIF orientation.
        height: Stored height in pixels, before EXIF orientation.
        mode: Pillow's name of the pixel format.
        has_more: Whether other frames or pages follow the first one. Previews in the photos of
            cameras do not count.
    """

    width: int
    height: int
    mode: str
    has_more: bool


def read_header(data: bytes) -> Header:
    """Read the header of an image file."""
    if is_dicom(data):
        return Header(*dicom_header(data), has_more=False)
    try:
        image = _open(data)
    except Exception:  # As in `load_image`, which read it without its metadata.
        image = _open(without_metadata(data))
    return Header(image.width, image.height, image.mode, _has_more(image))


class FileFormat(NamedTuple):
    """How an image file was saved.

    Attributes:
        name: Pillow's name of the format, or "DICOM".
        compression: The sum of the quantisation tables of a JPEG, which grows as quality falls;
            0 for other formats.
        camera: Maker and model of the camera in the metadata; "" if they are not known.
    """

    name: str
    compression: int
    camera: str


def read_format(data: bytes) -> FileFormat:
    """Read from the header of an image file how it was saved."""
    if is_dicom(data):
        return FileFormat("DICOM", 0, "")
    try:
        image = _open(data)
        tags = image.getexif()
        camera = " ".join(str(tags.get(tag, "")).strip("\0 ") for tag in _CAMERA_TAGS).strip()
    except Exception:  # As in `load_image`, which read it without its metadata.
        image, camera = _open(without_metadata(data)), ""
    tables = getattr(image, "quantization", None) or {}
    return FileFormat(image.format or "", sum(map(sum, tables.values())), camera)


def _has_more(image: ImageFile.ImageFile) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # Only the first frame has to be sound.
        return False


def same_as_first(data: bytes, contract: PixelContract) -> bool:
    """Return whether a file that the first contract decodes has the same pixels in another one.

    Only its header is read. If that is damaged, they count as different.
    """
    try:
        image = _open(data)
    except Exception:  # As in `load_image`.
        return False
    on_white = contract.background == FIRST.background
    return not has_sixteen_bits(image) and (on_white or not has_alpha(image))


@cache
def _formats() -> tuple[str, ...]:
    """Return the allowed formats that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_image(path: str) -> bytes:
    """Read the bytes of a file, or of an object in a store.

    Raises:
        UnreadableImage: It does not exist, is a folder, access is denied, or its format is known
            but not read.
        DataError: It is in an object store that cannot be reached.
    """
    if problem := format_problem(Path(path)):
        raise UnreadableImage(path, problem)
    if is_url(path):
        from headstart.data.remote import read_url  # Arrow is slow to import.

        return read_url(path)
    try:
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            raise UnreadableImage(path, "it is not a regular file")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UnreadableImage(path, "the file does not exist") from None
    except IsADirectoryError:
        raise UnreadableImage(path, "it is a folder") from None
    except PermissionError:
        raise UnreadableImage(path, "permission denied") from None
    except (OSError, ValueError) as error:
        raise UnreadableImage(path, reason_of(error)) from None


def sha256_of(path: str) -> str:
    """Return the sha256 of the bytes of a file, or of an object in a store.

    Raises:
        OSError: The file cannot be read.
        UnreadableImage: The object cannot be read.
        DataError: It is in an object store that cannot be reached.
    """
    return hashlib.sha256(read_image(path)).hexdigest() if is_url(path) else file_sha256(Path(path))


def _load(
    data: bytes, path: str, min_side: MinSide, contract: PixelContract, limits: DecodeLimits
) -> LoadedImage:
    if is_dicom(data):
        medical = decode_dicom(data, window=contract.window, limits=limits)
        return LoadedImage(medical, medical.size)
    try:
        image = _open(data)
    except Image.DecompressionBombError:
        raise UnreadableImage(path, too_many_pixels(limits, _declared_size(data))) from None
    width, height = image.size
    if width * height > limits.max_pixels:
        raise UnreadableImage(path, too_many_pixels(limits, image.size))
    if min_side is not None:
        image.draft(None, _size_needed(image.size, min_side))
    loaded = _load_checked(image, data) if contract.version > 1 else image
    loaded.load()
    reduced = reduction(max(width, height), max(loaded.size))
    beyond, below = loaded.width - width / reduced, loaded.height - height / reduced
    return LoadedImage(
        upright(loaded, image.getexif),
        seen_size((width, height), image.getexif),
        seen_begin((beyond, below), image.getexif),
    )


def reduction(side: int, decoded: int) -> int:
    """Return how many pixels of an image became one when it was decoded: 1, 2, 4 or 8."""
    return max(1, int(2 ** round(log2(side / decoded))))


def _load_checked(image: ImageFile.ImageFile, data: bytes) -> Image.Image:
    """Load an image by what the second contract added to Pillow."""
    check_header(image, data)
    loaded = read_sixteen_bits(image, data, _open) or image
    loaded.load()
    check_depth(image, data)
    check_rows(loaded, data)
    check_end(loaded, data, _open)
    return loaded


def _raise_own_limit(pixels: int) -> None:
    """Let Pillow open images of so many pixels; it refuses twice as many as its own limit."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = pixels


def _open(data: bytes) -> ImageFile.ImageFile:
    if is_heif(data):
        return open_heif(data)
    return Image.open(io.BytesIO(data), formats=_formats())


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """Return the size in the header of an image that Pillow refuses to open; None if unknown."""
    for name in _formats():
        factory, accept = Image.OPEN[name]
        with suppress(Exception):  # Each plugin has errors of its own.
            if accept is None or accept(data[:16]) is True:
                return factory(io.BytesIO(data), "").size
    return None


def pixel_count(data: bytes) -> int:
    """Return the number of pixels of an image by its header; 0 for DICOM, or if it has none."""
    try:
        with _open(data) as image:
            return image.width * image.height
    except Exception:  # What is wrong with it is said when it is decoded.
        return 0


def _size_needed(size: tuple[int, int], needed: int | TileScale) -> tuple[int, int]:
    """Return the least width and height that a JPEG may be decoded at."""
    width, height = size
    if isinstance(needed, TileScale):
        scale = needed.of(size) * (_DRAFT_MARGIN if width * height <= _LARGE else 1)
        return max(1, int(width * scale)), max(1, int(height * scale))
    scale = ceil(needed * _DRAFT_MARGIN) / min(size)
    return round(width * scale), round(height * scale)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
