"""Detections and true boxes of an image, matched as COCOeval does."""

import numpy as np

from headstart.evaluation.boxes.coco_metrics import measure_coco
from headstart.evaluation.boxes.matching import match_image
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes


def test_matches_are_those_of_cocoeval() -> None:
    """The right and the ignored detections of every image and class are the same ones."""
    truths, detections, sizes = make_scenes(60, seed=4)
    theirs = measure_coco(truths, detections, sizes, CLASSES).matches
    seen = 0
    for row, (truth, each) in enumerate(zip(truths, detections, strict=True)):
        own = match_image(truth, each)
        for category, matches in enumerate(theirs):
            here, there = each.classes == category, matches.rows == row
            assert own.right[here].tolist() == matches.hits()[there].tolist()
            assert own.ignored[here].tolist() == matches.ignored[0][there].tolist()
            boxes_here = (truth.classes == category) & ~truth.crowd
            assert (~own.missed)[boxes_here].sum() == matches.hits()[there].sum()
        seen += int(own.ignored.sum())
    assert seen > 5


def test_the_more_probable_detection_gets_the_box() -> None:
    """The second one of the same box is wrong, and the other box is missed."""
    truth = boxes((0, 0, 10, 10, 0), (50, 0, 60, 10, 0))
    own = match_image(truth, found((0, 0, 10, 9, 0, 0.9), (0, 0, 10, 10, 0, 0.8)))
    assert own.right.tolist() == [True, False]
    assert own.box.tolist() == [0, -1]
    assert own.missed.tolist() == [False, True]
    assert own.errors == 2


def test_a_box_of_another_class_is_not_matched() -> None:
    """Half of a box is enough; less, or the wrong class, is not."""
    own = match_image(
        boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 1)),
        found((0, 0, 10, 5, 0, 0.9), (20, 0, 30, 4.9, 1, 0.8), (20, 0, 30, 10, 0, 0.7)),
    )
    assert own.right.tolist() == [True, False, False]
    assert own.wrong.tolist() == [False, True, True]


def test_any_number_of_detections_in_a_crowd_do_not_count() -> None:
    """They are neither right nor wrong, and the crowd is not missed."""
    crowd = boxes((0, 0, 100, 100, 0), crowd=True)
    own = match_image(crowd, found((0, 0, 10, 10, 0, 0.9), (50, 0, 60, 10, 0, 0.8)))
    assert own.ignored.all() and not own.right.any() and not own.missed.any()
    assert own.errors == 0
    assert match_image(crowd, found()).errors == 0


def test_an_image_without_boxes() -> None:
    """All of its detections are wrong."""
    own = match_image(boxes(), found((0, 0, 10, 10, 0, 0.9)))
    assert np.array_equal(own.wrong, [True]) and own.errors == 1
