"""Images of 16 bits per channel, whatever their container and layout."""

import numpy as np
import pytest

from headstart.data.contract import FIRST
from headstart.data.decoding import decode
from headstart.errors import UnreadableImage
from tests.data.files import png_chunk, png_of, tiff_of

TOP = {12: 4095, 16: 65535}


def values(channels: int, bits: int, side: int = 20) -> np.ndarray:
    """Create values of a given depth; each channel has its own, and all of them are used."""
    ramp = np.linspace(0, TOP[bits], side * side * channels).astype(np.uint16)
    return np.random.default_rng(0).permutation(ramp).reshape(side, side, channels)


def scaled(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Return values in 8 bits, computed in double precision."""
    return np.rint(numbers * (255 / TOP[bits])).astype(np.uint8)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composite on white in double precision."""
    share = alpha / 255
    return colours * share + 255 * (1 - share)


LAYOUTS = {
    "little endian": {},
    "big endian": {"byteorder": ">"},
    "compressed": {"compression": "zlib"},
    "compressed, big endian": {"compression": "zlib", "byteorder": ">"},
    "predicted": {"compression": "zlib", "predictor": True},
    "tiles": {"tile": (16, 16)},
    "compressed tiles": {"tile": (16, 16), "compression": "zlib"},
    "strips": {"rowsperstrip": 3},
}


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rgb_tiff(layout: str, bits: int) -> None:
    """The channels are scaled together by the depth that their values need."""
    image = values(3, bits)
    pixels = decode(tiff_of(image, photometric="rgb", **LAYOUTS[layout]))
    assert np.array_equal(pixels, scaled(image, bits))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize(
    "layout",
    ["little endian", "big endian", "compressed", "predicted", "compressed tiles", "strips"],
)
def test_rgb_tiff_of_separate_channels(layout: str, bits: int) -> None:
    """Each channel may be stored for itself."""
    image = values(3, bits)
    separate = np.ascontiguousarray(image.transpose(2, 0, 1))
    data = tiff_of(separate, photometric="rgb", planarconfig="separate", **LAYOUTS[layout])
    assert np.array_equal(decode(data), scaled(image, bits))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("extra", [b"", png_chunk(b"tEXt", b"a\0b")])
def test_rgb_png(bits: int, extra: bytes) -> None:
    """A PNG is scaled as a TIFF is."""
    image = values(3, bits)
    assert np.array_equal(decode(png_of(image, extra)), scaled(image, bits))


def test_values_of_one_depth_are_scaled_alike() -> None:
    """The brightest value of an image does not change its scale within a depth."""
    image = values(3, 12) // 2
    assert np.array_equal(decode(png_of(image)), scaled(image, 12))


@pytest.mark.parametrize("container", [png_of, tiff_of])
def test_rgb_with_alpha(container) -> None:
    """Colours and alpha are scaled to 8 bits and composited on white."""
    image = values(4, 12)
    if container is tiff_of:
        data = tiff_of(image, photometric="rgb", extrasamples=["unassalpha"])
    else:
        data = png_of(image)
    reduced = scaled(image, 12)
    expected = on_white(reduced[:, :, :3], reduced[:, :, 3:])
    assert np.abs(decode(data) - expected).max() <= 1


def test_alpha_of_a_greater_depth_than_the_colours() -> None:
    """Colours of 12 bits may have alpha of 16 bits."""
    image = np.concatenate([values(3, 12), np.full((20, 20, 1), 65535, np.uint16)], axis=2)
    assert np.array_equal(decode(png_of(image)), scaled(image[:, :, :3], 12))


@pytest.mark.parametrize("separate", [False, True])
def test_colours_multiplied_by_alpha(separate: bool) -> None:
    """The colours of a TIFF with associated alpha are divided by it."""
    alpha = np.full((20, 20, 1), 32768, np.uint16)
    image = np.concatenate([values(3, 16) // 2, alpha], axis=2)
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    if separate:
        image, options = image.transpose(2, 0, 1).copy(), options | {"planarconfig": "separate"}
    data = tiff_of(image, **options)
    expected = on_white(scaled(values(3, 16), 16), np.full((20, 20, 1), 127.5))
    assert np.abs(decode(data) - expected).max() <= 2


@pytest.mark.parametrize("bits", [12, 16])
def test_grey_with_alpha(bits: int) -> None:
    """Grey with alpha in a PNG is scaled and composited on white."""
    image = values(2, bits)
    reduced = scaled(image, bits)
    expected = on_white(reduced[:, :, :1], reduced[:, :, 1:]).repeat(3, axis=2)
    assert np.abs(decode(png_of(image)) - expected).max() <= 1


def test_a_transparent_colour() -> None:
    """Only the pixels of which all 16 bits of each channel are equal are transparent."""
    image = np.array([[[1000, 2000, 3000], [1000, 2000, 3001], [4095, 0, 0]]], np.uint16)
    key = png_chunk(b"tRNS", image[0, 0].astype(">u2").tobytes())
    pixels = decode(png_of(image, key))
    assert pixels.tolist() == [[[255, 255, 255], [62, 125, 187], [255, 0, 0]]]


def test_a_transparent_grey_value() -> None:
    """A value of 16-bit grey that is declared transparent becomes white."""
    image = np.array([[[1000], [1001], [4095]]], np.uint16)
    pixels = decode(png_of(image, png_chunk(b"tRNS", b"\x03\xe8")))
    assert pixels[:, :, 0].tolist() == [[255, 62, 255]]


def test_cmyk() -> None:
    """Inks are scaled as colours are."""
    image = np.zeros((1, 3, 4), np.uint16)
    image[0, 1, 0], image[0, 2] = 4095, 4095
    pixels = decode(tiff_of(image, photometric="separated"))
    assert pixels.tolist() == [[[255, 255, 255], [0, 255, 255], [0, 0, 0]]]


@pytest.mark.parametrize("container", [png_of, lambda image: tiff_of(image, photometric="rgb")])
def test_the_first_contract_keeps_the_upper_bytes(container) -> None:
    """Models that were trained before keep the pixels of their training."""
    image = values(3, 12)
    assert np.array_equal(decode(container(image), contract=FIRST), image >> 8)


def test_a_reduced_image_is_turned_upright() -> None:
    """The orientation of a file of 16 bits per channel is applied."""
    image = values(3, 16)[:10]
    data = tiff_of(image, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(decode(data), np.rot90(scaled(image, 16), -1))


# JPEG 2000 files by OpenJPEG, as Pillow does not write 16 bits in colour. Red is 0, 1000, 2000 and
# 3000 from left to right, green the same from above, blue their mean; or 16 times that.
TWELVE_IN_SIXTEEN_BITS = (
    "ff4fff51002f0000000000040000000400000000000000000000000400000004000000000000000000030f01"
    "010f01010f0101ff52000c00000001010004040001ff5c00044080ff90000a00000000005c0001ff93dff890"
    "f8120bd35f4b932cbf87328c4b9026ab9941ecf1f324afe46370817d354be64fc0fe444000fd8861430b0be7"
    "cb70d01710e8b75a37c1fe048000fd8861430b0be7cb70d01710e8b75a383fffd9"
)
TWELVE_BITS = (
    "ff4fff51002f0000000000040000000400000000000000000000000400000004000000000000000000030b01"
    "010b01010b0101ff52000c00000001010004040001ff5c00044060ff90000a0000000000540001ff93dfe068"
    "120f34ddedb8cfd5077e2af1a09aed711a06c3c27ade729b64ebcfe44400fd8861430b0be7cb70d01710e8b7"
    "5a37dfe04800fd8861430b0be7cb70d01710e8b75a383fffd9"
)
SIXTEEN_BITS = (
    "ff4fff51002f0000000000040000000400000000000000000000000400000004000000000000000000030f01"
    "010f01010f0101ff52000c00000001010004040001ff5c00044080ff90000a00000000005a0001ff93dff890"
    "e0120f34ddedb8cfd5077e2af1a09aed711a06c3c27ade729b64ec8447cffc304800fd8861430b0be7cb70d0"
    "1710e8b75a384bdff8909000fd8861430b0be7cb70d01710e8b75a384bffd9"
)


@pytest.mark.parametrize("file", [TWELVE_BITS, SIXTEEN_BITS])
def test_jpeg_2000_in_colour(file: str) -> None:
    """It is scaled by the depth that its header says; Pillow keeps the upper 8 bits, rounded."""
    ramp = np.arange(0, 4000, 1000) * (255 / 4095)
    pixels = decode(bytes.fromhex(file)).astype(float)
    assert np.abs(pixels[:, :, 0] - ramp).max() < 1.5
    assert np.abs(pixels[:, :, 1] - ramp[:, np.newaxis]).max() < 1.5
    assert np.abs(pixels[:, :, 2] - (ramp + ramp[:, np.newaxis]) / 2).max() < 1.5


def test_jpeg_2000_in_colour_that_would_be_dark_is_refused() -> None:
    """Its lower bits cannot be read, and its upper ones are nearly all zero."""
    with pytest.raises(UnreadableImage) as caught:
        decode(bytes.fromhex(TWELVE_IN_SIXTEEN_BITS), path="x.jp2")
    assert str(caught.value) == (
        "Cannot read image 'x.jp2': its header says 16 bits, but its values have at most 12, "
        "which is not read from a JPEG 2000 in colour; convert it to .png or .tif."
    )
