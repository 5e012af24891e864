"""Files whose header announces more pixels than they have are refused, not filled."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from headstart.data.contract import FIRST
from headstart.data.decoding import decode
from headstart.errors import UnreadableImage
from tests.conftest import picture
from tests.data.files import encoded, png_file

PICTURE = picture(1).crop((0, 0, 48, 32))
ROWS = b"".join(b"\0" + row.tobytes() for row in np.asarray(PICTURE))


def reason(data: bytes) -> str:
    """Return why a file is refused."""
    with pytest.raises(UnreadableImage) as caught:
        decode(data)
    return caught.value.reason


def test_a_png_with_too_few_rows() -> None:
    """Pillow would fill the other half with black."""
    assert decode(png_file(48, 32, 2, 8, ROWS)).shape == (32, 48, 3)
    expected = "it is damaged (it has fewer rows than its header says)"
    assert reason(png_file(48, 64, 2, 8, ROWS)) == expected
    assert reason(png_file(48, 33, 2, 8, ROWS)) == expected
    assert reason(png_file(24, 64, 2, 16, ROWS[: 145 * 16])) == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA"])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (48, 32)])
def test_a_png_that_ends_in_black_is_whole(size: tuple[int, int], mode: str) -> None:
    """Black rows that are there are read."""
    image = Image.new("RGB", size).convert(mode)
    image.putpixel((0, 0), 1) if mode in ("L", "P", "1") else None
    assert decode(encoded(image, "PNG")).shape == (size[1], size[0], 3)


def test_a_png_that_is_compressed_as_much_as_possible() -> None:
    """A large image of one colour takes a thousandth of its size."""
    data = encoded(Image.new("RGB", (3000, 3000)), "PNG", compress_level=9)
    assert 900 * len(data) < 3 * 3000 * 3000
    assert decode(data).shape == (3000, 3000, 3)


def interlaced(width: int, height: int, complete: bool) -> bytes:
    """Return a black interlaced PNG, perhaps only the first half of it."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    size = 0
    for left, top, x_step, y_step in (*passes, (0, 1, 1, 2)):
        columns, rows = len(range(left, width, x_step)), len(range(top, height, y_step))
        size += rows * (1 + 3 * columns) if columns else 0
    data = bytearray(png_file(width, height, 2, 8, bytes(size if complete else size // 2)))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (17, 30)])
def test_an_interlaced_png(size: tuple[int, int]) -> None:
    """Every pass is counted."""
    assert decode(interlaced(*size, complete=True)).shape == (size[1], size[0], 3)
    assert reason(interlaced(*size, complete=False)).startswith("it is damaged")


def test_a_tiff_with_too_few_strips() -> None:
    """Pillow would leave the rows without a strip black."""
    data = bytearray(encoded(PICTURE, "TIFF"))
    start = struct.unpack("<I", data[4:8])[0]
    for place in range(start + 2, len(data), 12):
        if data[place : place + 2] == struct.pack("<H", 257):
            data[place + 8 : place + 10] = struct.pack("<H", 64)
            break
    assert reason(bytes(data)) == "it is damaged (its strips or tiles do not cover it)"
    assert decode(bytes(data), contract=FIRST).shape == (64, 48, 3)


@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 2}])
def test_a_jpeg_that_has_an_end_but_not_all_pixels(
    options: dict, orientation: int, min_side: int | None
) -> None:
    """An end marker after half of the file does not make it whole."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(1, side=256), "JPEG", exif=exif, quality=90, **options)
    cut = data[: len(data) // 2] + b"\xff\xd9"
    with pytest.raises(UnreadableImage) as caught:
        decode(cut, min_side=min_side)
    assert caught.value.reason == "it is damaged (the pixels at its end are missing)"


def test_later_pictures_of_a_file_do_not_matter() -> None:
    """The end of the first picture counts."""
    image = picture(1, side=256)
    image.paste((128, 128, 128), (0, 100, 256, 256))
    for first in (image, picture(1, side=256)):
        data = encoded(first, "MPO", save_all=True, append_images=[picture(2)])
        assert decode(data).shape == (256, 256, 3)


def test_a_jpeg_that_ends_in_grey_is_whole() -> None:
    """Grey rows that are there are read."""
    image = picture(1, side=256)
    image.paste((128, 128, 128), (0, 100, 256, 256))
    assert decode(encoded(image, "JPEG")).shape == (256, 256, 3)
