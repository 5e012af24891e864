"""Sizes are read from headers, and agree with what decoding gives."""

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from headstart.data.boxes.image_sizes import ImageSize, read_sizes
from headstart.data.decoding import decode
from tests.data.boxes.builders import image
from tests.data.files import encoded, png_chunk


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_seen_size_is_that_of_the_decoded_image(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """In every format and orientation."""
    path = tmp_path / f"a.{suffix}"
    image(path, (60, 40), orientation)
    (size,) = read_sizes([str(path)])
    assert size is not None
    height, width, _ = decode(path.read_bytes()).shape
    assert size.seen == (width, height)
    if suffix in ("jpg", "png", "tif"):
        assert size == ImageSize(60, 40, orientation)


def test_orientation_after_the_pixels_is_found(tmp_path: Path) -> None:
    """A PNG may have its EXIF at the end."""
    data = encoded(Image.new("RGB", (60, 40)), "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    end = data.index(b"IEND") - 4
    late = data[:end] + png_chunk(b"eXIf", exif.tobytes()[6:]) + data[end:]
    path = tmp_path / "late.png"
    path.write_bytes(late)
    (size,) = read_sizes([str(path)])
    assert size == ImageSize(60, 40, 6)
    assert decode(late).shape == (60, 40, 3)


def test_pixels_of_a_png_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking Pillow for its EXIF would do that. Texts before the pixels do not matter."""
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("a", "b")
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png", pnginfo=texts)

    def fail(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    assert read_sizes([str(tmp_path / "a.png")]) == [ImageSize(60, 40)]


def test_files_without_a_header_have_no_size(tmp_path: Path) -> None:
    """They are for the check of all files to name."""
    (tmp_path / "a.png").write_bytes(b"not an image")
    assert read_sizes([str(tmp_path / "a.png"), str(tmp_path / "b.png")]) == [None, None]


def test_heif_is_read(tmp_path: Path) -> None:
    """With the optional package."""
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (60, 40))).save(tmp_path / "a.heic")
    (size,) = read_sizes([str(tmp_path / "a.heic")])
    assert size is not None
    assert size.seen == (60, 40)
