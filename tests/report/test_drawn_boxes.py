"""Pictures of predicted boxes: readable, whatever the size of the image."""

import numpy as np
import pytest
from PIL import Image

from headstart.answers import PredictedBox
from headstart.report.drawn_boxes import draw_boxes

CLASSES = ("cat", "dog")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((100, 50), (800, 400)), ((900, 300), (900, 300)), ((20, 5000), (6, 1600))],
)
def test_a_picture_has_a_readable_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Small images are enlarged and large ones reduced; a box in a corner fits too."""
    boxes = [PredictedBox("cat", 0.9, (0, 0, size[0], size[1]))]
    assert draw_boxes(Image.new("L", size), boxes, size, CLASSES).size == expected


def test_boxes_are_where_they_are_predicted() -> None:
    """In pixels of the image as it is seen, with a colour for each class."""
    boxes = [
        PredictedBox("cat", 0.9, (500, 500, 900, 900)),
        PredictedBox("dog", 0.5, (1200, 600, 1800, 900)),
    ]
    drawn = np.asarray(draw_boxes(Image.new("RGB", (1000, 500)), boxes, (2000, 1000), CLASSES))
    assert drawn.shape == (500, 1000, 3)
    assert drawn[350, 250].tolist() == [0xE6, 0x9F, 0x00]
    assert drawn[400, 600].tolist() == [0x56, 0xB4, 0xE9]
    assert not drawn[350, 350].any()


def test_labels_are_beside_each_other() -> None:
    """The label of a box on top of another one is below it."""
    boxes = [
        PredictedBox("cat", 0.9, (100, 400, 600, 700)),
        PredictedBox("dog", 0.8, (110, 400, 600, 700)),
    ]
    drawn = np.asarray(draw_boxes(Image.new("RGB", (1000, 1000)), boxes, (1000, 1000), CLASSES))
    assert drawn[395, 105].any()
    assert drawn[705, 115].any()
