"""Decode the images of DICOM files."""

from copy import copy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from headstart.arrays import Stored
from headstart.data.medical.elements import (
    INSTALL,
    errors_without_values,
    read_elements,
    require_pydicom,
)
from headstart.data.medical.windows import FIRST, grey_levels
from headstart.data.medical.workers import WORKERS
from headstart.data.pixel_limits import too_many_pixels
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# A palette of 8 bits has no more bytes.
_ENTRIES_OF_8_BITS = 256

# The groups of image elements, and of what their transforms depend on.
_PIXEL_GROUP = 0x0028
_KEYWORDS = (
    *("SOPClassUID", "SpecificCharacterSet", "PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncryptedAttributesSequence"),
)
_PER_FRAME = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def decode_dicom(
    data: bytes, *, window: str = FIRST, limits: DecodeLimits | None = None
) -> Image.Image:
    """Decode the only image of a DICOM file.

    Args:
        data: The content of the file.
        window: See `windows.grey_levels`.
        limits: Maximum pixels.

    Returns:
        An image of mode "L" or "RGB".

    Raises:
        UnreadableImage: It has no image or several, is damaged or encrypted, or its compression
            cannot be decoded here.
        MedicalMissing: pydicom is not installed.
    """
    images = DicomImages.open(data, limits)
    if images.count > 1:
        raise UnreadableImage(
            "image",
            f"it has {images.count:,} frames, where one image is expected; to predict each, pass "
            "the file to headstart predict",
        )
    return images.decode(0, window)


def dicom_header(data: bytes) -> tuple[int, int, str]:
    """Return width, height and Pillow's mode of the image in a DICOM file."""
    require_pydicom()
    with errors_without_values():
        dataset = read_elements(data, _tags(), DecodeLimits())
        grey = int(dataset.get("SamplesPerPixel") or 1) == 1
        return int(dataset.Columns), int(dataset.Rows), "L" if grey else "RGB"


class DicomImages:
    """The images of a DICOM file: one, or one for each frame.

    Args:
        dataset: Its elements.
        limits: Maximum pixels of an image.
    """

    def __init__(self, dataset: "Dataset", limits: DecodeLimits) -> None:
        self._dataset, self._limits = dataset, limits
        self.count = _frames(dataset)

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits | None = None) -> "DicomImages":
        """Read the elements of a file, without decoding its pixels.

        Raises:
            UnreadableImage: It is damaged or has no pixels.
            MedicalMissing: pydicom is not installed.
        """
        require_pydicom()
        limits = limits or DecodeLimits()
        with errors_without_values():
            dataset = read_elements(data, _tags(), limits)
            _check(dataset, limits)
            return cls(dataset, limits)

    def decode(self, frame: int, window: str = FIRST) -> Image.Image:
        """Decode a frame, counted from 0, to mode "L" or "RGB".

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        with errors_without_values():
            return self._decode(frame, window)

    def _decode(self, frame: int, window: str) -> Image.Image:
        from pydicom.pixels import apply_color_lut

        dataset = self._dataset
        stored = _stored(dataset, frame, self.count)
        colours = dataset.PhotometricInterpretation
        if stored.ndim == 2 and colours == "PALETTE COLOR":
            return _colour(apply_color_lut(stored, _with_little_endian_palette(dataset)), 8)
        if stored.ndim == 2:
            return Image.fromarray(grey_levels(stored, _of_frame(dataset, frame), window))
        return _colour(stored, int(dataset.BitsStored))


@cache
def _tags() -> list[int]:
    from pydicom.datadict import DicomDictionary, tag_for_keyword

    pixel_group = [tag for tag in DicomDictionary if tag >> 16 == _PIXEL_GROUP]
    named = [tag for name in _KEYWORDS if (tag := tag_for_keyword(name)) is not None]
    return [*pixel_group, *named]


def _frames(dataset: "Dataset") -> int:
    number = dataset.get("NumberOfFrames")
    return 1 if number is None else int(number)


def _check(dataset: "Dataset", limits: DecodeLimits) -> None:
    """Check that a file has an image of an allowed size."""
    if "EncryptedAttributesSequence" in dataset and "Rows" not in dataset:
        raise UnreadableImage("image", "it is encrypted")
    pixels = next(
        (n for n in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if n in dataset), None
    )
    if pixels is None:
        kind = getattr(dataset.get("SOPClassUID"), "name", "")
        what = f" ({kind})" if kind and "Storage" in kind else ""
        raise UnreadableImage("image", f"it is a DICOM file without pixels{what}")
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not rows or not columns:
        raise UnreadableImage("image", "its DICOM elements do not say how large the image is")
    if rows * columns > limits.max_pixels:
        raise UnreadableImage("image", too_many_pixels(limits, (columns, rows)))
    if _frames(dataset) < 1:
        raise UnreadableImage("image", "it has no frames")


def _stored(dataset: "Dataset", frame: int, count: int) -> Stored:
    """Return the stored values of a frame: (height, width) or (height, width, 3)."""
    from pydicom.pixels import get_decoder, pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnreadableImage(
            "image", f"its compression is not supported ({syntax.name})"
        ) from None
    if not decoder.is_available:
        raise UnreadableImage("image", f"it is compressed as {syntax.name}; to read it, {INSTALL}")
    if syntax.is_encapsulated:
        return _decompressed(dataset, frame, count)
    try:
        stored: Stored = pixel_array(dataset, index=frame)
        return stored
    except ValueError:
        reason = "its pixels are incomplete, or not as its elements describe them"
    raise UnreadableImage("image", reason)


def _decompressed(dataset: "Dataset", frame: int, count: int) -> Stored:
    """Decode compressed pixels; their size is checked before memory is allocated for them."""
    from pydicom.encaps import encapsulate, get_frame
    from pydicom.pixels.utils import as_pixel_options

    syntax = dataset.file_meta.TransferSyntaxUID
    options = as_pixel_options(dataset) | {"number_of_frames": 1}
    offsets = options.pop("extended_offsets", None)
    coded = get_frame(dataset.PixelData, frame, number_of_frames=count, extended_offsets=offsets)
    if _coded_size(coded) not in (None, (int(dataset.Columns), int(dataset.Rows))):
        raise UnreadableImage("image", "its pixels are of another size than its elements say")
    stored = WORKERS.decode(str(syntax), options, encapsulate([coded]))
    if stored is None and int(dataset.BitsStored) > 8 and "Process 2 and 4" in syntax.name:
        raise UnreadableImage("image", "it is a JPEG of 12 bits, which no decoder here reads")
    if stored is None:
        raise UnreadableImage(
            "image", f"its pixels ({syntax.name}) cannot be decoded; they may be damaged"
        )
    return stored


def _coded_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in the header of a JPEG, JPEG-LS or JPEG 2000; None if unknown."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start >= 0:
        x1, y1, x0, y0 = (
            int.from_bytes(data[at : at + 4], "big") for at in range(start + 8, start + 24, 4)
        )
        return x1 - x0, y1 - y0
    place = 2 if data.startswith(b"\xff\xd8") else len(data)
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # A fill byte.
            place += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = (
                int.from_bytes(data[at : at + 2], "big") for at in (place + 5, place + 7)
            )
            return width, height
        else:
            place += 2 + length
    return None


def _of_frame(dataset: "Dataset", frame: int) -> "Dataset":
    """Return the elements of a frame, which enhanced files keep in sequences for each frame."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*shared[:1], *own[frame : frame + 1]]
    found = [group[name][0] for group in groups for name in _PER_FRAME if group.get(name)]
    if not found:
        return dataset
    from pydicom.dataset import Dataset

    merged = Dataset()
    for source in (dataset.group_dataset(_PIXEL_GROUP), *found):
        merged.update(source)
    return merged


def _with_little_endian_palette(dataset: "Dataset") -> "Dataset":
    """Return the elements with palettes of 16 bits in the order that pydicom takes for granted."""
    if dataset.original_encoding[1] is not False:
        return dataset
    swapped = copy(dataset)
    for colour in ("Red", "Green", "Blue"):
        element = dataset.get_item(f"{colour}PaletteColorLookupTableData")
        if element is not None and len(element.value) > _ENTRIES_OF_8_BITS:
            values = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
            setattr(swapped, f"{colour}PaletteColorLookupTableData", values)
    return swapped


def _colour(values: Stored, bits: int) -> Image.Image:
    """Return colours as an image, scaled to 8 bits."""
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise UnreadableImage("image", f"its pixels have {values.shape[-1]} channels")
    channels = values[:, :, :3]
    if channels.dtype != np.uint8:
        top = 2.0 ** (16 if bits == 8 else bits) - 1
        channels = np.rint(channels * (255 / top)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(channels))
