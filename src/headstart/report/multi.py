"""The report's part for the task with several labels per image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

from headstart.record import CurvePoint, LabelBin, LabelResult, MultiEvaluation
from headstart.report.scripts import read_scripts
from headstart.task import ReportPart

MAX_MATRIX = 40
"""A matrix of more labels cannot be read; it has only the most frequent ones."""

MAX_PAIRS = 10

OPEN_PANELS = 1
"""The number of labels, weakest first, whose curves are shown from the start."""


@dataclass(frozen=True)
class Dot:
    """A point of a plot, in its units."""

    x: float
    y: float
    radius: float = 2.2


@dataclass(frozen=True)
class LabelPanel:
    """A row of the table by label, and the label's curves in the units of the plots.

    Attributes:
        result: The metrics of the label.
        trained_on: The number of training images with the label; None if they were not counted.
        number: The position of the label in the model, which its curves are named by.
        roc: The ROC curve as a path; "" if the label is not measured.
        precision_recall: The steps of the precision-recall curve as a path; "" likewise.
        at_threshold: The point of the threshold on the ROC curve; None likewise.
        precision_at_threshold: The same for the other curve; None also if the label was never
            predicted.
        bins: The reliability diagram.
    """

    result: LabelResult
    trained_on: int | None
    number: int
    roc: str
    precision_recall: str
    at_threshold: Dot | None
    precision_at_threshold: Dot | None
    bins: tuple[Dot, ...]


@dataclass(frozen=True)
class PairCell:
    """Images with two labels: how many have both, and for how many both are predicted.

    Attributes:
        count: The number of images that have both.
        predicted: The number of images for which both are predicted.
        share: The share of the images with the label of the row that also have the other.
        same: Whether both are the same label.
    """

    count: int
    predicted: int
    share: float
    same: bool


@dataclass(frozen=True)
class Pair:
    """Two labels whose predictions occur together more, or less, often than the labels do."""

    first: str
    second: str
    count: int
    predicted: int


@dataclass(frozen=True)
class PairMatrix:
    """The co-occurrence matrix of the most frequent labels."""

    names: tuple[str, ...]
    rows: tuple[tuple[PairCell, ...], ...]


def multi_part(evaluation: MultiEvaluation, trained_on: Sequence[int] = ()) -> ReportPart:
    """Return the template, the values and the script that show an evaluation.

    Args:
        evaluation: The metrics.
        trained_on: The number of training images with each label, or nothing if unknown.
    """
    panels = [
        _panel(number, result, count)
        for number, (result, count) in enumerate(zip_longest(evaluation.per_class, trained_on))
    ]
    panels.sort(key=lambda panel: _weakness(panel.result))
    values = {
        "counted": bool(trained_on),
        "panels": panels,
        "measured": [panel for panel in panels if not panel.result.unmeasured],
        "unmeasured": evaluation.unmeasured,
        "open_panels": OPEN_PANELS,
        "matrix": _matrix(evaluation),
        "pairs": _differing_pairs(evaluation),
    }
    return ReportPart("multi.html.jinja", values, read_scripts("sorting", "contents"))


def _weakness(result: LabelResult) -> float:
    return math.inf if result.auroc.value is None else result.auroc.value


def _panel(number: int, result: LabelResult, trained_on: int | None) -> LabelPanel:
    recall, specificity, precision = (
        metric.value for metric in (result.recall, result.specificity, result.precision)
    )
    on_roc = on_precision = None
    if recall is not None and specificity is not None:
        on_roc = Dot(100 * (1 - specificity), 100 - 100 * recall)
    if recall is not None and precision is not None:
        on_precision = Dot(100 * recall, 100 - 100 * precision)
    return LabelPanel(
        result=result,
        trained_on=trained_on,
        number=number,
        roc=_line(result.roc),
        precision_recall=_steps(result.precision_recall),
        at_threshold=on_roc,
        precision_at_threshold=on_precision,
        bins=tuple(_dots(result.reliability)),
    )


def _line(points: Sequence[CurvePoint]) -> str:
    """Return a curve of straight lines as an SVG path."""
    return "M" + "L".join(f"{_unit(x)} {_unit(1 - y)}" for x, y in points) if points else ""


def _steps(points: Sequence[CurvePoint]) -> str:
    """Return a curve as an SVG path of steps, each as high as its right end."""
    steps = "".join(f"V{_unit(1 - y)}H{_unit(x)}" for x, y in points)
    return f"M0 {_unit(1 - points[0][1])}{steps}" if points else ""


def _unit(value: float) -> str:
    """Format a fraction in the units of a plot, which is 100 wide and high."""
    return f"{100 * value:.1f}".removesuffix(".0")


def _dots(bins: Sequence[LabelBin]) -> Iterator[Dot]:
    """Yield bins by increasing probability; larger dots hold more images."""
    largest = max((each.images for each in bins), default=1)
    for each in sorted(bins, key=lambda each: each.probability):
        radius = 1 + 3 * math.sqrt(each.images / largest)
        yield Dot(100 * each.probability, 100 - 100 * each.frequency, radius)


def _matrix(evaluation: MultiEvaluation) -> PairMatrix:
    """Return the co-occurrence matrix of the most frequent labels, in the order of the model."""
    positives = [result.positives for result in evaluation.per_class]
    frequent = sorted(range(len(positives)), key=lambda number: -positives[number])
    shown = sorted(frequent[:MAX_MATRIX])
    return PairMatrix(
        tuple(evaluation.per_class[number].name for number in shown),
        tuple(tuple(_cell(evaluation, row, column) for column in shown) for row in shown),
    )


def _cell(evaluation: MultiEvaluation, row: int, column: int) -> PairCell:
    count = evaluation.cooccurrence[row][column]
    positives = evaluation.cooccurrence[row][row]
    predicted = evaluation.predicted_cooccurrence[row][column]
    return PairCell(count, predicted, count / positives if positives else 0.0, row == column)


def _differing_pairs(evaluation: MultiEvaluation) -> list[Pair]:
    """Return the pairs for which predictions differ most from the truth, in numbers of images.

    Labels that are not measured are left out: they would fill the list.
    """
    measured = [
        (number, result.name)
        for number, result in enumerate(evaluation.per_class)
        if not result.unmeasured
    ]
    pairs = [
        Pair(
            name,
            other_name,
            evaluation.cooccurrence[first][second],
            evaluation.predicted_cooccurrence[first][second],
        )
        for (first, name), (second, other_name) in combinations(measured, 2)
    ]
    differing = [pair for pair in pairs if pair.count != pair.predicted]
    return sorted(differing, key=lambda pair: -abs(pair.predicted - pair.count))[:MAX_PAIRS]
