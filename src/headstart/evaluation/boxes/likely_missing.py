"""Confident detections without a label: boxes that are probably missing in the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.answers import Thresholds
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.error_kinds import BACKGROUND
from headstart.evaluation.boxes.overlaps import overlaps

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


@dataclass(frozen=True)
class LikelyMissing:
    """A place where a label is probably missing.

    Attributes:
        row: The row number of the image.
        category: The number of the class.
        box: The detected box.
        score: Its probability.
    """

    row: int
    category: int
    box: Box
    score: float


def find_likely_missing(
    truths: Sequence[Boxes], detections: Sequence[Detections], thresholds: Thresholds
) -> tuple[LikelyMissing, ...]:
    """Return confident detections that overlap with no true box by 0.1, the most probable first.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image, by a model that was not trained on it.
        thresholds: From which probability a detection is confident, such as those for
            "precision=0.9". Classes whose thresholds do not reach their purpose are left out.
    """
    enough = np.array(
        [
            np.inf if note else value
            for value, note in zip(thresholds.values, thresholds.notes, strict=True)
        ]
    )
    found = [
        LikelyMissing(row, category, _as_box(box), score)
        for row, (truth, each) in enumerate(zip(truths, detections, strict=True))
        for box, category, score in _unlabelled(truth, each.above(enough))
    ]
    return tuple(sorted(found, key=lambda one: -one.score))


def _unlabelled(truth: Boxes, detections: Detections) -> list[tuple[list[float], int, float]]:
    alone = overlaps(detections.corners, truth).max(axis=1, initial=0.0) < BACKGROUND
    return list(
        zip(
            detections.corners[alone].tolist(),
            detections.classes[alone].tolist(),
            detections.scores[alone].tolist(),
            strict=True,
        )
    )


def _as_box(corners: list[float]) -> Box:
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2
