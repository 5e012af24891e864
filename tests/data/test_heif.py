"""HEIC and HEIF images, with and without the package that reads them."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding import decode, decode_image, read_header
from headstart.data.heif import is_heif
from headstart.errors import UnreadableImage
from tests.conftest import picture
from tests.data.files import encoded

pillow_heif = pytest.importorskip("pillow_heif")


def heif(image: Image.Image, **options) -> bytes:
    """Return an image as a HEIC file, without loss unless asked."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **{"quality": -1, "chroma": 444} | options)
    return buffer.getvalue()


def test_rgb() -> None:
    """The pixels are those that were saved, but for the conversion to YCbCr."""
    difference = decode(heif(picture(1))).astype(int) - np.asarray(picture(1))
    assert np.abs(difference).max() <= 3


def test_grey_and_alpha() -> None:
    """Grey stays grey; a transparent pixel becomes white."""
    assert decode_image(heif(picture(1).convert("L"))).mode == "L"
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (0, 0, 8, 16))
    pixels = decode(heif(image)).astype(int)
    assert np.abs(pixels[8, 2] - [255, 255, 255]).max() <= 3
    assert np.abs(pixels[8, 13] - [255, 0, 0]).max() <= 3


def test_the_header_is_read() -> None:
    """Width, height and mode."""
    assert read_header(heif(picture(1).crop((0, 0, 48, 32)))) == (48, 32, "RGB", False)


def test_a_damaged_file_is_refused() -> None:
    """It is named as any other damaged image."""
    data = heif(picture(1), quality=90)
    with pytest.raises(UnreadableImage):
        decode(data[: len(data) // 2])


def test_pillow_is_not_changed_for_other_code() -> None:
    """Reading a HEIC registers nothing."""
    before = dict(Image.OPEN)
    decode(heif(picture(1)))
    assert before == Image.OPEN


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extra is named."""
    data = heif(picture(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImage) as caught:
        decode(data, path="a.heic")
    assert str(caught.value) == (
        "Cannot read image 'a.heic': it is a HEIC image; to read it, run "
        "pip install 'headstart[heif]'."
    )


@pytest.mark.parametrize("kind", ["AVIF", "PNG"])
def test_other_formats_are_not_taken_for_heif(kind: str) -> None:
    """An AVIF has the same container, but another brand."""
    assert is_heif(heif(picture(1)))
    assert not is_heif(encoded(picture(1), kind))
