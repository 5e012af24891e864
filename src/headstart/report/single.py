"""The report's part for the task with one label per image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap, zip_longest

from headstart.record import ClassResult, ReliabilityBin, SingleEvaluation
from headstart.report.scripts import read_scripts
from headstart.task import ReportPart

MAX_CONFUSIONS = 10


@dataclass(frozen=True)
class Cell:
    """The number of images of a class with a given prediction, and their share of the class."""

    count: int
    share: float
    correct: bool


@dataclass(frozen=True)
class Confusion:
    """Images of class `label` that were predicted as `predicted`: `count` of `images`."""

    label: str
    predicted: str
    count: int
    images: int


@dataclass(frozen=True)
class Point:
    """A bin of the reliability diagram, in the units of the plot."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class ClassRow:
    """A row of the table by class: its results, and its training images if they were counted."""

    result: ClassResult
    trained_on: int | None


def single_part(evaluation: SingleEvaluation, trained_on: Sequence[int] = ()) -> ReportPart:
    """Return the template, the values and the script that show an evaluation.

    Args:
        evaluation: The metrics.
        trained_on: The number of training images of each class, or nothing if unknown.
    """
    rows = starmap(ClassRow, zip_longest(evaluation.per_class, trained_on))
    values = {
        "counted": bool(trained_on),
        "matrix": _matrix(evaluation.confusion),
        "confusions": _frequent_confusions(evaluation),
        "baseline": _baseline_class(evaluation),
        "weakest_first": sorted(rows, key=lambda row: _recall(row.result)),
        "points": _points(evaluation.reliability),
    }
    return ReportPart(
        "single.html.jinja", values, read_scripts("sorting", "contents", "thresholds", "map")
    )


def _matrix(confusion: Sequence[Sequence[int]]) -> list[list[Cell]]:
    return [
        [
            Cell(count, count / sum(row) if count else 0.0, correct=truth == predicted)
            for predicted, count in enumerate(row)
        ]
        for truth, row in enumerate(confusion)
    ]


def _frequent_confusions(evaluation: SingleEvaluation) -> list[Confusion]:
    names = [result.name for result in evaluation.per_class]
    wrong = [
        Confusion(names[truth], names[predicted], count, sum(row))
        for truth, row in enumerate(evaluation.confusion)
        for predicted, count in enumerate(row)
        if truth != predicted and count
    ]
    return sorted(wrong, key=lambda pair: -pair.count)[:MAX_CONFUSIONS]


def _baseline_class(evaluation: SingleEvaluation) -> str | None:
    """Return the class that the majority baseline predicts, or None if it is ambiguous.

    It is found by its share of the test images, which is the accuracy of the baseline: the most
    frequent training class need not be the most frequent test class. It is ambiguous if several
    classes have that share.
    """
    expected = round(evaluation.majority * evaluation.images)
    matching = [result.name for result in evaluation.per_class if result.images == expected]
    return matching[0] if len(matching) == 1 else None


def _points(reliability: Sequence[ReliabilityBin]) -> list[Point]:
    """Return bins by increasing confidence; x and y are 0 to 100, larger dots hold more images."""
    largest = max((bin_.images for bin_ in reliability), default=1)
    return [
        Point(100 * bin_.confidence, 100 * bin_.accuracy, 1 + 3 * math.sqrt(bin_.images / largest))
        for bin_ in sorted(reliability, key=lambda bin_: bin_.confidence)
    ]


def _recall(result: ClassResult) -> float:
    return math.inf if result.recall is None or math.isnan(result.recall) else result.recall
