"""Overlays are drawn where the network looked."""

import numpy as np
import pytest
from PIL import Image

from headstart.data.preprocessing import Preprocess
from headstart.explanations.overlays import overlay

WHITE = (255, 255, 255)


def spot(row, column, value=1.0, side=8):
    """Return a map with one hot cell."""
    heat = np.zeros((side, side), dtype=np.float32)
    heat[row, column] = value
    return heat


def centre_of_colour(image):
    """Return x and y of the mean position of coloured pixels."""
    pixels = np.asarray(image).astype(int)
    colour = np.ptp(pixels, axis=2)
    y, x = np.indices(colour.shape)
    return (x * colour).sum() / colour.sum(), (y * colour).sum() / colour.sum()


@pytest.mark.parametrize("size", [(160, 160), (240, 120), (121, 333)])
@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(64),
        Preprocess(64, resize="pad"),
        Preprocess(64, resize="shorter", crop=0.875),
        Preprocess(64, resize="shorter"),
    ],
)
def test_heat_is_where_the_network_saw_it(size, preprocess):
    """A mark in the image is found in the pixels, and its cell is drawn over the mark."""
    x, y = size[0] * 0.55, size[1] * 0.45
    marked = Image.new("RGB", size, WHITE)
    radius = min(size) // 20
    box = tuple(round(value) for value in (x - radius, y - radius, x + radius, y + radius))
    marked.paste((0, 0, 0), box)
    dark = preprocess.pixels(marked)[..., 0] < 100
    cells = dark.reshape(8, 8, 8, 8).sum(axis=(1, 3))
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    result = overlay(Image.new("RGB", size, WHITE), spot(row, column), preprocess)
    assert result.size == size and result.mode == "RGB"
    found = centre_of_colour(result)
    # A cell is at most an eighth of the longer side, and its centre at most half of it away.
    assert abs(found[0] - x) < max(size) / 12 and abs(found[1] - y) < max(size) / 12


def test_what_is_cropped_away_keeps_its_colours():
    """Outside the crop, the picture is unchanged; inside it is grey under the heat."""
    image = Image.new("RGB", (200, 100), (10, 200, 30))
    result = overlay(image, spot(4, 4), Preprocess(64, resize="shorter"))
    pixels = np.asarray(result)
    assert (pixels[:, :50] == (10, 200, 30)).all() and (pixels[:, 150:] == (10, 200, 30)).all()
    assert np.ptp(pixels[0, 60]) == 0


def test_support_is_warm_and_opposition_is_blue():
    """The sign of the heat decides the colour."""
    grey = Image.new("RGB", (80, 80), (128, 128, 128))
    warm = np.asarray(overlay(grey, spot(2, 2), Preprocess(64)))[25, 25].astype(int)
    cold = np.asarray(overlay(grey, spot(2, 2, -1.0), Preprocess(64)))[25, 25].astype(int)
    assert warm[0] > warm[2] + 50 and cold[2] > cold[0] + 50


def test_a_map_without_heat_leaves_the_picture_grey():
    """Nothing is divided by zero."""
    grey = Image.new("RGB", (80, 60), (128, 128, 128))
    assert overlay(grey, np.zeros((8, 8), np.float32), Preprocess(64)).tobytes() == grey.tobytes()


def test_the_image_is_not_changed():
    """The overlay is a new image."""
    image = Image.new("RGB", (80, 60), (128, 128, 128))
    before = image.tobytes()
    overlay(image, spot(1, 1), Preprocess(64))
    assert image.tobytes() == before
