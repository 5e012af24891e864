"""Small image files of each format, and random changes to their bytes."""

import gzip
import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.conftest import picture
from tests.data.files import encoded, png_of, tiff_of
from tests.data.medical.files import WHEEL

PICTURE = picture(1).crop((0, 0, 48, 32))
_DEEP = (np.asarray(PICTURE).astype(np.uint16) * 16)[:, :, [0, 1, 2]]
_EXIF = Image.Exif()
_EXIF[0x0112], _EXIF[0x010E] = 6, "a description" * 5


def _heif() -> bytes:
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(PICTURE).save(buffer, quality=80)
    return buffer.getvalue()


def _nifti() -> bytes:
    import nibabel

    values = np.asarray(PICTURE).astype(np.int16)
    return bytes(nibabel.Nifti1Image(values, np.eye(4)).to_bytes())


# Small files of each transfer syntax, with palettes, planes, frames and transforms.
_DICOM_FILES = (
    *("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm"),
    *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_16bit.dcm"),
    *("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_small_odd_jpeg.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_gdcm_KY.dcm", "image_dfl.dcm"),
    *("examples_palette.dcm", "JPEGLSNearLossless_16.dcm", "rtdose_1frame.dcm"),
)

SAMPLES: dict[str, Callable[[], list[bytes]]] = {
    "JPEG": lambda: [
        encoded(PICTURE, "JPEG", exif=_EXIF, comment="c" * 40),
        encoded(PICTURE, "JPEG", progressive=True),
        encoded(PICTURE, "JPEG", restart_marker_blocks=1),
        encoded(PICTURE.convert("CMYK"), "JPEG"),
        encoded(PICTURE, "MPO", save_all=True, append_images=[PICTURE]),
    ],
    "PNG": lambda: [
        encoded(PICTURE, "PNG", exif=_EXIF),
        encoded(PICTURE.convert("P"), "PNG", transparency=3),
        encoded(PICTURE.convert("1"), "PNG"),
        encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
        png_of(_DEEP),
    ],
    "WEBP": lambda: [
        encoded(PICTURE, "WEBP", exif=_EXIF),
        encoded(PICTURE.convert("RGBA"), "WEBP", lossless=True),
        encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)]),
    ],
    "GIF": lambda: [
        encoded(PICTURE, "GIF"),
        encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    ],
    "BMP": lambda: [encoded(PICTURE.convert(mode), "BMP") for mode in ("RGB", "P", "1", "RGBA")],
    "TIFF": lambda: [
        encoded(PICTURE, "TIFF", exif=_EXIF),
        encoded(PICTURE, "TIFF", compression="tiff_lzw"),
        encoded(PICTURE, "TIFF", compression="jpeg"),
        encoded(PICTURE.convert("1"), "TIFF", compression="group4"),
        tiff_of(_DEEP, photometric="rgb", compression="zlib", predictor=True),
        tiff_of(_DEEP.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        tiff_of(np.asarray(PICTURE.convert("F"))),
    ],
    "PPM": lambda: [
        *(encoded(PICTURE.convert(mode), "PPM") for mode in ("RGB", "L", "1")),
        b"P3 4 2 255\n" + b"1 2 3 " * 8,
        b"P5 8 2 4095\n" + struct.pack(">16H", *range(0, 4096, 256)),
    ],
    "AVIF": lambda: [
        encoded(PICTURE, "AVIF", exif=_EXIF),
        encoded(PICTURE.convert("RGBA"), "AVIF"),
    ],
    "JPEG2000": lambda: [
        encoded(PICTURE, "JPEG2000"),
        encoded(PICTURE, "JPEG2000", no_jp2=True),
        encoded(PICTURE.convert("L"), "JPEG2000", irreversible=True),
    ],
    "HEIF": lambda: [_heif()],
    "DICOM": lambda: [(WHEEL / name).read_bytes() for name in _DICOM_FILES],
}
"""Files of each format, made when needed."""

VOLUMES: dict[str, Callable[[], list[bytes]]] = {
    "NIfTI": lambda: [_nifti(), gzip.compress(_nifti())],
}
"""Files that hold several images."""


def mutate(data: bytes, random: random.Random) -> bytes:
    """Return a file with one to eight random changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        random.choice(_CHANGES)(changed, random)
    return _with_checksums(changed) if random.random() < 0.5 else bytes(changed)


def _with_checksums(data: bytearray) -> bytes:
    """Return a PNG with right checksums, so that changes within chunks are not all refused."""
    place = 8
    while data.startswith(b"\x89PNG") and place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end <= len(data):
            data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[place + 4 : end - 4]))
        place = end
    return bytes(data)


def _place(data: bytearray, random: random.Random) -> int:
    """Return a place, most often in the first bytes, where headers are."""
    end = max(len(data), 1)
    if data[128:132] == b"DICM" and random.random() < 0.5:
        return min(end - 1, random.randrange(132, 1500))
    return random.randrange(min(end, 100)) if random.random() < 0.5 else random.randrange(end)


def _flip(data: bytearray, random: random.Random) -> None:
    if data:
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _overwrite(data: bytearray, random: random.Random) -> None:
    place = _place(data, random)
    numbers = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, random.randrange(2**32))
    packed = struct.pack(random.choice("<>") + "I", random.choice(numbers))
    data[place : place + 4] = packed[: random.choice((1, 2, 4))]


def _scramble(data: bytearray, random: random.Random) -> None:
    place, size = _place(data, random), random.randrange(1, 64)
    data[place : place + size] = random.randbytes(size)


def _remove(data: bytearray, random: random.Random) -> None:
    place = _place(data, random)
    del data[place : place + random.randrange(1, 32)]


def _repeat(data: bytearray, random: random.Random) -> None:
    place, source = _place(data, random), _place(data, random)
    data[place:place] = data[source : source + random.randrange(1, 64)]


def _cut(data: bytearray, random: random.Random) -> None:
    del data[_place(data, random) :]


_CHANGES = (_flip, _flip, _overwrite, _overwrite, _scramble, _remove, _repeat, _cut)
