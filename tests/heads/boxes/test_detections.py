"""The boxes that are left of those at all points."""

import numpy as np
import pytest
import torch

from headstart.boxes import Detections
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.data.tiling import tiles_of
from headstart.heads.boxes.detections import LEAST_SCORE, detections_of, merge_tiles
from headstart.heads.boxes.points import Points

POINTS = Points.of((16, 8), 64)
WHOLE = Placement.of(Preprocess(64, resize="pad"), (64, 64))


def outputs(*found, classes=2):
    """Return the output of a head that finds boxes: x1, y1, x2, y2, class, score."""
    made = torch.full((len(POINTS), 4 + classes), -20.0)
    free = list(range(len(POINTS)))
    for *corners, number, score in found:
        box = torch.tensor(corners)
        middle = (box[:2] + box[2:]) / 2
        point = min(free, key=lambda one: float((POINTS.centres[one] - middle).norm()))
        free.remove(point)
        centre = POINTS.centres[point]
        distance = torch.cat([centre - box[:2], box[2:] - centre])
        assert (distance > 0).all()
        made[point, :4] = (distance / POINTS.steps[point]).log()
        made[point, 4 + int(number)] = torch.tensor(score).logit()
    return made


def test_a_box_is_where_the_output_says():
    """With its class and its probability."""
    result = detections_of(outputs((10.0, 12, 40, 50, 1, 0.8)), POINTS, WHOLE)
    np.testing.assert_allclose(result.corners, [[10, 12, 40, 50]], atol=1e-4)
    assert result.classes.tolist() == [1]
    assert result.scores.tolist() == [pytest.approx(0.8, abs=1e-6)]
    assert (result.corners.dtype, result.classes.dtype, result.scores.dtype) == (
        np.float32,
        np.int64,
        np.float64,
    )


def test_boxes_are_in_pixels_of_the_image():
    """An image of 128 x 64 pixels is at half its scale in the middle of the input."""
    placement = Placement.of(Preprocess(64, resize="pad"), (128, 64))
    result = detections_of(outputs((10.0, 20, 40, 40, 0, 0.8)), POINTS, placement)
    np.testing.assert_allclose(result.corners, [[20, 8, 80, 48]], atol=1e-3)


def test_the_most_probable_come_first():
    """Whatever their place and class."""
    found = [(2.0, 2, 20, 20, 0, 0.3), (30.0, 30, 60, 60, 1, 0.9), (30.0, 2, 60, 20, 0, 0.6)]
    result = detections_of(outputs(*found), POINTS, WHOLE)
    assert result.scores.round(3).tolist() == [0.9, 0.6, 0.3]
    assert result.classes.tolist() == [1, 0, 0]


def test_of_boxes_that_overlap_only_the_most_probable_is_left():
    """Only within a class: a person may sit on a bicycle."""
    first, second = (10.0, 10, 50, 50), (11.0, 11, 51, 51)
    result = detections_of(outputs((*first, 0, 0.7), (*second, 0, 0.9)), POINTS, WHOLE)
    assert result.scores.round(3).tolist() == [0.9]
    result = detections_of(outputs((*first, 0, 0.7), (*second, 1, 0.9)), POINTS, WHOLE)
    assert result.classes.tolist() == [1, 0]


def test_boxes_that_overlap_by_half_are_two_objects():
    """The threshold is an intersection over union of 0.6."""
    half, more = (10.0, 26.0), (10.0, 18.0)
    for (x1, x2), count in ((half, 2), (more, 1)):
        found = outputs((x1, 10.0, x1 + 40, 50, 0, 0.9), (x2, 10.0, x2 + 40, 50, 0, 0.8))
        assert len(detections_of(found, POINTS, WHOLE)) == count


def test_a_point_may_find_two_classes():
    """Their boxes are the same."""
    made = outputs((10.0, 10, 40, 40, 0, 0.9))
    point = int((made[:, 4] > 0).nonzero()[0])
    made[point, 5] = torch.tensor(0.4).logit()
    result = detections_of(made, POINTS, WHOLE)
    assert result.classes.tolist() == [0, 1]
    assert np.array_equal(*result.corners)


def test_improbable_boxes_are_dropped():
    """Those below 1 % are not detections."""
    found = [(2.0, 2, 20, 20, 0, 0.0099), (30.0, 30, 60, 60, 0, 0.0101)]
    result = detections_of(outputs(*found), POINTS, WHOLE)
    assert result.scores.round(4).tolist() == [0.0101]
    assert LEAST_SCORE == 0.01
    assert len(detections_of(outputs(), POINTS, WHOLE)) == 0


def test_at_most_a_hundred_boxes_are_left():
    """The most probable of those that do not overlap."""
    made = torch.full((len(POINTS), 5), -20.0)
    made[:256, :4] = np.log(0.4)  # Boxes of less than a step do not touch.
    made[:256, 4] = torch.linspace(-2, 2, 256)
    result = detections_of(made, POINTS, WHOLE)
    assert len(result) == 100
    expected = torch.linspace(-2, 2, 256).sigmoid().flip(0)[:100].double().numpy()
    np.testing.assert_allclose(result.scores, expected)


def test_boxes_in_the_padding_are_dropped():
    """They have no area in the image; boxes across its edge are cut."""
    placement = Placement.of(Preprocess(64, resize="pad"), (64, 32))  # Rows 16 to 48.
    found = [(10.0, 2, 30, 14, 0, 0.9), (40.0, 4, 60, 30, 0, 0.8)]
    result = detections_of(outputs(*found), POINTS, placement)
    np.testing.assert_allclose(result.corners, [[40, 0, 60, 14]], atol=1e-3)


def test_more_candidates_than_points_are_no_error():
    """With few points, all are candidates."""
    points = Points.of((2, 1), 64)
    assert len(detections_of(torch.zeros(5, 6), points, WHOLE)) > 0


def in_tiles(*found, size=(180, 100), side=100):
    """Return what is left of boxes: tile, x1, y1, x2, y2, class, score."""
    preprocess = Preprocess(100, resize="pad")
    places = [Placement.of_tile(preprocess, size, tile) for tile in tiles_of(size, side)]
    rows = np.array(found, np.float64).reshape(-1, 7)
    parts = []
    for number in range(len(places)):
        own = rows[rows[:, 0] == number]
        parts.append(Detections(own[:, 1:5].astype(np.float32), own[:, 5].astype(int), own[:, 6]))
    return merge_tiles(parts, places)


def test_an_object_that_two_tiles_show_is_found_once():
    """The most probable box of it is kept; other classes and other places are other objects."""
    merged = in_tiles(
        (1, 82, 10, 98, 40, 0, 0.7),
        (2, 83, 10, 97, 41, 0, 0.9),
        (2, 83, 10, 97, 41, 1, 0.6),
        (2, 120, 50, 140, 60, 0, 0.8),
    )
    assert merged.scores.tolist() == [0.9, 0.8, 0.6]
    assert merged.corners[0].tolist() == [83, 10, 97, 41]


def test_what_a_tile_shows_of_an_object_is_no_object():
    """Even if it is the more probable; if no tile shows the object whole, the part is kept."""
    half, whole = (1, 60, 20, 100, 60, 0, 0.9), (0, 60, 20, 140, 60, 0, 0.5)
    assert in_tiles(half, whole).scores.tolist() == [0.5]
    assert in_tiles(half).scores.tolist() == [0.9]
    other = (0, 60, 20, 140, 60, 1, 0.5)
    assert in_tiles(half, other).scores.tolist() == [0.9, 0.5]
    elsewhere = (2, 90, 70, 140, 95, 0, 0.4)
    assert in_tiles(half, elsewhere).scores.tolist() == [0.9, 0.4]


def test_an_object_at_the_edge_of_the_image_is_whole():
    """Only where the image goes on is a box cut."""
    edge, around = (1, 0, 0, 30, 99, 0, 0.6), (0, 0, 0, 120, 100, 0, 0.5)
    assert in_tiles(edge, around).scores.tolist() == [0.6, 0.5]


def test_without_detections_nothing_is_merged():
    """Nor with a single tile, whose boxes stay as they are."""
    assert len(in_tiles()) == 0
    one = (0, 5, 5, 99, 50, 0, 0.5)
    assert in_tiles(one, size=(100, 90)).scores.tolist() == [0.5]
