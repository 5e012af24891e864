"""What the report shows of an evaluation with one label for each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.record import ClassResult, ReliabilityBin, SingleEvaluation
from headstart.task import ReportPart

CONFUSIONS_LISTED = 10


@dataclass(frozen=True)
class Cell:
    """How many images of one class were given one label, and their share of that class (0 to 1)."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion:
    """Images of class `label` that were predicted as `predicted`: `count` out of `images`."""

    label: str
    predicted: str
    count: int
    images: int


@dataclass(frozen=True)
class Point:
    """A bin of the reliability diagram, in the units of its drawing."""

    x: float
    y: float
    radius: float


def single_part(evaluation: SingleEvaluation) -> ReportPart:
    """Return the template and values that show an evaluation."""
    values = {
        "matrix": _matrix(evaluation.confusion),
        "confusions": _frequent_confusions(evaluation),
        "baseline": _baseline_class(evaluation),
        "weakest_first": sorted(evaluation.per_class, key=_recall),
        "points": _points(evaluation.reliability),
    }
    return ReportPart("single.html.jinja", values)


def _matrix(confusion: Sequence[Sequence[int]]) -> list[list[Cell]]:
    return [
        [
            Cell(count, count / sum(row) if count else 0.0, right=truth == predicted)
            for predicted, count in enumerate(row)
        ]
        for truth, row in enumerate(confusion)
    ]


def _frequent_confusions(evaluation: SingleEvaluation) -> list[Confusion]:
    names = [one.name for one in evaluation.per_class]
    wrong = [
        Confusion(names[truth], names[predicted], count, sum(row))
        for truth, row in enumerate(evaluation.confusion)
        for predicted, count in enumerate(row)
        if truth != predicted and count
    ]
    return sorted(wrong, key=lambda pair: -pair.count)[:CONFUSIONS_LISTED]


def _baseline_class(evaluation: SingleEvaluation) -> str | None:
    """Return the class whose share of the test images is the baseline's accuracy, if one is.

    It is looked up by its share because the most frequent class of the training part need not be
    the most frequent one of the test part; where classes tie, there is no such class.
    """
    expected = round(evaluation.majority * evaluation.images)
    matching = [one.name for one in evaluation.per_class if one.images == expected]
    return matching[0] if len(matching) == 1 else None


def _points(reliability: Sequence[ReliabilityBin]) -> list[Point]:
    """Place bins by rising confidence; x and y run from 0 to 100, larger dots hold more images."""
    largest = max((one.images for one in reliability), default=1)
    return [
        Point(100 * one.confidence, 100 * one.accuracy, 1 + 3 * math.sqrt(one.images / largest))
        for one in sorted(reliability, key=lambda one: one.confidence)
    ]


def _recall(row: ClassResult) -> float:
    return math.inf if row.recall is None or math.isnan(row.recall) else row.recall
