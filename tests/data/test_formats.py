"""Image files are recognised by suffix, or by content where the suffix says nothing."""

import os
from pathlib import Path

import pytest
from PIL import Image

from headstart.data.formats import format_problem, is_image_file


@pytest.mark.parametrize("name", ["a.JPG", "a.j2k", "a.pbm", "a.heic", "a.dng", "a.SVG", "a.3fr"])
def test_suffixes_of_images(tmp_path: Path, name: str) -> None:
    """Files with the suffix of an image are images, also if the format is not read."""
    assert is_image_file(tmp_path / name)


@pytest.mark.parametrize("name", ["photo", "img.jpg?w=640", "x.jpg_large", "7.1"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_images_without_a_suffix(tmp_path: Path, name: str, kind: str) -> None:
    """The first bytes decide."""
    Image.new("RGB", (8, 8)).save(tmp_path / name, kind)
    assert is_image_file(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4 a zip archive", b"RIFF....WAVE"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    """A file that neither is named nor begins like an image is none."""
    (tmp_path / "file.unknown").write_bytes(content)
    assert not is_image_file(tmp_path / "file.unknown")


def test_files_beside_images_are_not_opened(tmp_path: Path) -> None:
    """Texts and tables are not images, whatever is in them."""
    Image.new("RGB", (8, 8)).save(tmp_path / "labels.txt", "PNG")
    assert not is_image_file(tmp_path / "labels.txt")


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert not is_image_file(tmp_path / "pipe")


def test_formats_that_are_not_read() -> None:
    """The reason says what to do."""
    assert format_problem(Path("a/x.DNG")) == (
        ".dng files are not supported; convert it to .png or .jpg"
    )
    assert format_problem(Path("a/x.png")) is None
