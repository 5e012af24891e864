"""Confident detections without a label."""

import pytest

from headstart.answers import Thresholds
from headstart.evaluation.boxes.likely_missing import LikelyMissing, find_likely_missing
from tests.evaluation.boxes.scenes import boxes, found

THRESHOLDS = Thresholds("precision=0.9", (0.8, 0.6), ("", ""))


def test_confident_detections_far_from_all_boxes_are_likely_missing_labels() -> None:
    """The most probable first; a box of any class, or a crowd, explains a detection."""
    truths = [boxes((0, 0, 100, 100, 0)), boxes(), boxes((0, 0, 50, 50, 0), crowd=True)]
    detections = [
        found((0, 0, 100, 11, 1, 0.99), (0, 95, 100, 195, 0, 0.9), (0, 300, 9, 309, 0, 0.79)),
        found((1, 2, 3, 4, 1, 0.95), (5, 5, 9, 9, 1, 0.6), (5, 5, 9, 9, 1, 0.59)),
        found((0, 0, 9, 9, 1, 0.9)),
    ]
    assert find_likely_missing(truths, detections, THRESHOLDS) == (
        LikelyMissing(1, 1, (1, 2, 3, 4), 0.95),
        LikelyMissing(0, 0, (0, 95, 100, 195), 0.9),
        LikelyMissing(1, 1, (5, 5, 9, 9), 0.6),
    )


@pytest.mark.parametrize("category", [0, 1])
def test_classes_that_cannot_be_confident_are_left_out(category: int) -> None:
    """Their threshold does not have the wished precision."""
    thresholds = Thresholds("precision=0.9", (0.5, 0.5), ("", "Not reached."))
    names = find_likely_missing([boxes()], [found((0, 0, 9, 9, category, 0.9))], thresholds)
    assert len(names) == (1 if category == 0 else 0)
