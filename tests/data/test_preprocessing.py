"""Preprocessing of images to the square input of the backbone."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from PIL import Image

from headstart.data.preprocessing import Preprocess


def bands() -> Image.Image:
    """Create a wide image: red, green and blue, a third each."""
    image = Image.new("RGB", (300, 100), "lime")
    image.paste("red", (0, 0, 100, 100))
    image.paste("blue", (200, 0, 300, 100))
    return image


def test_squash_keeps_the_whole_image() -> None:
    """A wide image is squeezed, so that both ends remain."""
    pixels = Preprocess(30).pixels(bands())
    assert pixels.shape == (30, 30, 3)
    assert pixels.dtype == np.uint8
    assert [pixels[15, x].tolist() for x in (2, 15, 27)] == [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
    ]


def test_shorter_crops_the_centre() -> None:
    """The aspect ratio is kept, and the ends of a wide image are cut off."""
    pixels = Preprocess(30, resize="shorter").pixels(bands())
    assert pixels.shape == (30, 30, 3)
    assert pixels[15, 2:28].tolist() == [[0, 255, 0]] * 26


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pad_keeps_the_whole_image_and_its_aspect_ratio(mode: str) -> None:
    """The rest of the square has the mean colour, which is about zero for the network."""
    pixels = Preprocess(30, resize="pad").pixels(bands().convert(mode))
    assert pixels.shape == (30, 30, 3)
    inside = np.asarray(bands().convert(mode).convert("RGB"))[50, [20, 150, 280]]
    assert np.array_equal(pixels[15, [2, 15, 27]], inside)
    filled = np.abs(np.concatenate([pixels[:10], pixels[20:]]).astype(int) - [124, 116, 104])
    assert filled.max() <= (0 if mode == "RGB" else 11)


def test_crop_removes_the_border() -> None:
    """With a crop of 0.5, only the middle half of each side is kept."""
    image = Image.new("RGB", (100, 100), "red")
    image.paste("lime", (20, 20, 80, 80))
    pixels = Preprocess(20, resize="shorter", crop=0.5).pixels(image)
    assert (pixels == [0, 255, 0]).all()


@pytest.mark.parametrize(
    ("preprocess", "side"),
    [
        (Preprocess(224), 224),
        (Preprocess(224, crop=0.5), 224),
        (Preprocess(224, resize="shorter", crop=0.875), 256),
    ],
)
def test_min_side_is_the_size_that_resizing_needs(preprocess: Preprocess, side: int) -> None:
    """Squashing needs the size itself; cropping needs size / crop."""
    assert preprocess.min_side == side


@pytest.mark.parametrize("resize", ["squash", "shorter"])
def test_grey_becomes_three_equal_channels(resize: str) -> None:
    """A grey image has the same pixels as its RGB version."""
    grey = Image.linear_gradient("L")
    preprocess = Preprocess(32, resize=resize, crop=0.9)
    assert np.array_equal(preprocess.pixels(grey), preprocess.pixels(grey.convert("RGB")))


@pytest.mark.parametrize(("size", "small"), [(64, 32), (224, 160), (300, 224), (384, 288)])
def test_the_smaller_scale_is_about_three_quarters(size: int, small: int) -> None:
    """It is a multiple of 32; with one scale, there is none."""
    assert Preprocess(size, scales="two").small_size == small
    assert Preprocess(size).small_size is None


def test_shrinking_is_antialiased() -> None:
    """A fine checkerboard becomes grey, not a pattern."""
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = Preprocess(16, interpolation="bilinear").pixels(Image.fromarray(board))
    assert np.abs(pixels.astype(int) - 127).max() <= 4


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1)])
@pytest.mark.parametrize("resize", ["squash", "shorter"])
def test_extreme_proportions_still_give_a_square(size: tuple[int, int], resize: str) -> None:
    """A single pixel, a row and a column are all resized to the square."""
    image = Image.new("RGB", size, "red")
    assert (Preprocess(24, resize=resize).pixels(image) == [255, 0, 0]).all()


def test_dict_round_trip_through_json() -> None:
    """The values that a bundle stores restore the same object."""
    preprocess = Preprocess(96, "shorter", 0.9, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.1, 0.3))
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess


def test_value_is_frozen() -> None:
    """`Preprocess` cannot change after features were computed with it."""
    with pytest.raises(FrozenInstanceError):
        Preprocess(96).size = 97  # type: ignore[misc]
