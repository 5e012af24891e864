"""Traits of files and pictures: blur, borders, and how a file was saved."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from headstart.data.contract import CURRENT
from headstart.data.decoding import read_format
from headstart.data.traits import blur_effect, border_share, read_formats, read_traits
from tests.conftest import picture


def noise(side: int = 200) -> Image.Image:
    """Return a picture of tiles, with edges and a little noise."""
    rng = np.random.default_rng(0)
    tiles = np.kron(rng.integers(40, 216, (side // 20, side // 20)), np.ones((20, 20)))
    return Image.fromarray((tiles + rng.normal(0, 8, tiles.shape)).clip(0, 255).astype(np.uint8))


def grey(image: Image.Image) -> np.ndarray:
    """Return grey levels as numbers."""
    return np.asarray(image.convert("L"), dtype=np.float32)


def test_blur_grows_with_the_blur() -> None:
    """From 0 to 1, and above the limit of `find_oddities` with a deviation of 4 pixels."""
    values = [blur_effect(grey(noise().filter(ImageFilter.GaussianBlur(by)))) for by in (0, 2, 4)]
    assert 0 < values[0] < 0.5 < values[1] < values[2] < 1
    assert values[2] > 0.65
    assert np.isnan(blur_effect(np.full((80, 80), 7, dtype=np.float32)))


@pytest.mark.parametrize(
    ("margins", "share"), [((0, 0, 0, 0), 0), ((20, 0, 0, 0), 0.1), ((20, 20, 50, 50), 0.6)]
)
def test_a_border_is_measured_on_all_sides(
    margins: tuple[int, int, int, int], share: float
) -> None:
    """As a share of the picture; the noise of compression does not end it."""
    top, bottom, left, right = margins
    values = grey(noise())
    rng = np.random.default_rng(1)
    frame = rng.normal(30, 1, values.shape).astype(np.float32)
    frame[top : 200 - bottom, left : 200 - right] = values[top : 200 - bottom, left : 200 - right]
    assert border_share(frame) == pytest.approx(share, abs=0.011)
    assert border_share(np.full((50, 50), 9, dtype=np.float32)) == 1


def test_how_a_file_was_saved(tmp_path: Path) -> None:
    """Format, compression and camera; a lower quality has larger tables."""
    for quality in (50, 95):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker", "Model 7"
        picture(1).save(tmp_path / f"{quality}.jpg", quality=quality, exif=exif)
    picture(1).save(tmp_path / "a.png")
    low, high, png = read_formats([str(tmp_path / name) for name in ("50.jpg", "95.jpg", "a.png")])
    assert (low.name, png.name) == ("JPEG", "PNG")
    assert low.compression > high.compression > png.compression == 0
    assert (low.camera, png.camera) == ("Maker Model 7", "")
    assert read_format((tmp_path / "a.png").read_bytes()) == png


def test_traits_of_a_file_that_has_gone_are_none(tmp_path: Path) -> None:
    """The others are measured, in order."""
    picture(1, (200, 40, 40)).save(tmp_path / "red.png")
    paths = [str(tmp_path / name) for name in ("gone.png", "red.png")]
    gone, red = read_traits(paths, CURRENT)
    assert gone is None
    assert red is not None
    traits, grid = red
    assert traits.colour[0] > traits.colour[1]
    assert traits.brightness == pytest.approx(np.mean(traits.colour), abs=0.01)
    assert grid.shape == (48, 48)
