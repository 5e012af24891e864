"""Overlaps equal pycocotools'."""

import numpy as np
import pytest
from pycocotools import mask

from headstart.evaluation.boxes.overlaps import overlaps
from tests.evaluation.boxes.scenes import boxes, make_scenes


def test_overlaps_are_those_of_pycocotools() -> None:
    """Intersection over union and, with a crowd, the share of the box in it."""
    compared = 0
    for truth, detections, _ in zip(*make_scenes(20), strict=True):
        if not len(truth) or not len(detections):
            continue
        own, true = (each.corners.astype(np.float64) for each in (detections, truth))
        own[:, 2:] -= own[:, :2]
        true[:, 2:] -= true[:, :2]
        expected = mask.iou(own, true, truth.crowd.astype(int).tolist())
        assert overlaps(detections.corners, truth) == pytest.approx(expected, abs=1e-12)
        compared += truth.crowd.sum()
    assert compared > 3


def test_boxes_without_area_overlap_with_nothing() -> None:
    """Neither does nothing overlap with anything."""
    empty = np.array([[5, 5, 5, 5]], np.float32)
    assert overlaps(empty, boxes((0, 0, 9, 9, 0), (5, 5, 5, 5, 0))).tolist() == [[0.0, 0.0]]
    assert overlaps(empty, boxes()).shape == (1, 0)
    assert overlaps(empty[:0], boxes((0, 0, 9, 9, 0))).shape == (0, 1)
