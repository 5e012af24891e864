"""The exact pixels of each format and each form of it."""

import struct

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding import decode, decode_image
from headstart.errors import UnreadableImage
from tests.conftest import picture
from tests.data.files import encoded, png_file, png_of, tiff_of

PICTURE = picture(1)
PIXELS = np.asarray(PICTURE)
GREY = np.asarray(PICTURE.convert("L"))
BITS = GREY > 128
FRAMES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]


def with_header(header: str, values: np.ndarray) -> bytes:
    """Return values after the header of a PBM, PGM or PPM."""
    return header.encode() + values.tobytes()


def plain(header: str, values: np.ndarray) -> bytes:
    """Return values as text after the header of a PBM, PGM or PPM."""
    return (header + " ".join(map(str, values.ravel().tolist()))).encode()


TWELVE_BITS = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
COLOUR_BITS = np.repeat(TWELVE_BITS[:, :, np.newaxis], 3, axis=2)

EXACT = {
    "png": (encoded(PICTURE, "PNG"), PIXELS),
    "png, grey": (encoded(PICTURE.convert("L"), "PNG"), GREY),
    "png, one bit": (encoded(Image.fromarray(BITS), "PNG"), BITS * 255),
    "png, two bits": (png_file(4, 1, 0, 2, b"\0\x1b"), np.array([[0, 85, 170, 255]])),
    "png, 16 bits": (png_of(TWELVE_BITS[:, :, np.newaxis]), np.rint(TWELVE_BITS * (255 / 4095))),
    "webp": (encoded(PICTURE, "WEBP", lossless=True), PIXELS),
    "bmp": (encoded(PICTURE, "BMP"), PIXELS),
    "bmp, one bit": (encoded(Image.fromarray(BITS), "BMP"), BITS * 255),
    "jpeg 2000": (encoded(PICTURE, "JPEG2000"), PIXELS),
    "jpeg 2000, codestream": (encoded(PICTURE, "JPEG2000", no_jp2=True), PIXELS),
    "jpeg 2000, grey": (encoded(PICTURE.convert("L"), "JPEG2000"), GREY),
    "ppm": (with_header("P6 64 64 255\n", PIXELS), PIXELS),
    "ppm, comment": (with_header("P6\n# a\n64 64\n255\n", PIXELS), PIXELS),
    "ppm, text": (plain("P3 64 64 255\n", PIXELS), PIXELS),
    "ppm, 12 bits": (
        with_header("P6 64 64 4095\n", COLOUR_BITS.astype(">u2")),
        np.rint(COLOUR_BITS * (255 / 4095)),
    ),
    "pgm": (with_header("P5 64 64 255\n", GREY), GREY),
    "pgm, text": (plain("P2 64 64 255\n", GREY), GREY),
    "pgm, 12 bits": (
        with_header("P5 64 64 4095\n", TWELVE_BITS.astype(">u2")),
        np.rint(TWELVE_BITS * (255 / 4095)),
    ),
    "pbm": (with_header("P4 64 64\n", np.packbits(~BITS, axis=1)), BITS * 255),
    "pbm, text": (plain("P1 64 64\n", (~BITS).astype(int)), BITS * 255),
    "tiff": (encoded(PICTURE, "TIFF"), PIXELS),
    "tiff, lzw": (encoded(PICTURE, "TIFF", compression="tiff_lzw"), PIXELS),
    "tiff, deflate": (encoded(PICTURE, "TIFF", compression="tiff_adobe_deflate"), PIXELS),
    "tiff, one bit": (encoded(Image.fromarray(BITS), "TIFF"), BITS * 255),
    "tiff, fax": (encoded(Image.fromarray(BITS), "TIFF", compression="group4"), BITS * 255),
    "tiff, white is zero": (tiff_of(255 - GREY, photometric="miniswhite"), GREY),
    "tiff, grey of 12 bits": (tiff_of(TWELVE_BITS), np.rint(TWELVE_BITS * (255 / 4095))),
    "tiff, big": (tiff_of(PIXELS, photometric="rgb", bigtiff=True), PIXELS),
    "tiff, separate": (
        tiff_of(PIXELS.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        PIXELS,
    ),
    "tiff, floats": (
        tiff_of(np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)),
        np.arange(256).reshape(16, 16),
    ),
    "gif": (encoded(PICTURE.convert("L"), "GIF"), GREY),
}


@pytest.mark.parametrize("name", EXACT)
def test_pixels_are_exact(name: str) -> None:
    """Formats without loss give the pixels that were saved; grey has three equal channels."""
    data, expected = EXACT[name]
    pixels = decode(data)
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, np.newaxis], 3, axis=2)
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [("JPEG", {"quality": 100, "subsampling": 0}, 4), ("AVIF", {"quality": 100}, 8)],
)
def test_pixels_are_close(kind: str, options: dict, tolerance: int) -> None:
    """Formats with loss give nearly the pixels that were saved."""
    difference = decode(encoded(PICTURE, kind, **options)).astype(int) - PIXELS
    assert np.abs(difference).max() <= tolerance


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    """Later frames and pages are not read."""
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], **options)
    pixels = decode(data).astype(int)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels - [255, 0, 0]).max() <= (3 if kind == "AVIF" else 0)


def test_a_multi_picture_file_gives_its_first_picture() -> None:
    """As cameras write them, the others are previews or other exposures."""
    data = encoded(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
    assert np.abs(decode(data).astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("adobe", [True, False])
def test_inks_of_a_cmyk_jpeg(adobe: bool) -> None:
    """Inks are stored inverted, as Adobe does, with or without the segment that says so."""
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    place = data.index(b"\xff\xee")
    size = 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    pixels = decode(data if adobe else data[:place] + data[place + size :]).astype(int)
    assert np.abs(pixels - [255, 0, 0]).max() <= 2


def test_a_palette_with_several_alphas() -> None:
    """Each entry of a palette may have its own alpha."""
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 0, 0])
    image.putdata([0, 1, 2])
    data = encoded(image, "PNG", transparency=bytes((255, 128, 0)))
    assert decode(data).tolist() == [[[255, 0, 0], [127, 127, 255], [255, 255, 255]]]


@pytest.mark.parametrize("name", ["png, grey", "png, 16 bits", "pgm", "tiff, one bit"])
def test_grey_stays_grey(name: str) -> None:
    """A grey image is resized as one channel."""
    assert decode_image(EXACT[name][0]).mode == "L"


@pytest.mark.parametrize("data", [b"P6 64 64 255\n", b"P7\nWIDTH 1\n", b"P6 0 0 255\n", b"P5 a"])
def test_a_broken_portable_map_is_refused(data: bytes) -> None:
    """Pixels that are not there are not made up."""
    with pytest.raises(UnreadableImage):
        decode(data)
