"""The report's part for the task with labelled boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from headstart.evaluation.boxes.thresholds import FALLBACK
from headstart.record import BoxClassResult, BoxErrors, BoxesEvaluation, CurvePoint, ErrorKind
from headstart.report.box_pictures import (
    KIND_NAMES,
    NO_CROPS,
    AnalysedPicture,
    BoxCrops,
    BoxesPicture,
    false_alarm_crops,
    missed_crops,
)
from headstart.report.scripts import read_scripts
from headstart.task import ReportPart

__all__ = ["BoxesPicture", "boxes_part"]

MAX_PICTURES = 12
"""The most pictures with all of their boxes."""

OPEN_CURVES = 6
"""The number of classes, weakest first, whose curves are shown from the start."""

# The smallest gain that is shown as another number than 0.
_VISIBLE = 0.0005

_MEANINGS: dict[ErrorKind, str] = {
    "class": "the box is right, the class is not",
    "localisation": "overlaps too little with a true box of its class",
    "both": "overlaps too little with a true box of another class",
    "duplicate": "a second box for the same object",
    "background": "nothing is labelled there",
    "missed": "a true box without any prediction",
}


@dataclass(frozen=True)
class ClassPanel:
    """A row of the table by class, and the class's curve, in a plot that is 100 wide and high.

    Attributes:
        result: The metrics of the class.
        trained_on: The number of training boxes of the class; None if they were not counted.
        curve: Precision and recall at IoU 0.5 as a path; "" without true boxes.
        at_threshold: The x and y of the threshold; None without predicted or true boxes.
    """

    result: BoxClassResult
    trained_on: int | None
    curve: str
    at_threshold: tuple[float, float] | None


@dataclass(frozen=True)
class ErrorBar:
    """The errors of a kind, as a bar.

    Attributes:
        errors: Their number, and what correcting them would be worth.
        name: The kind in words.
        meaning: What the kind is.
        share: The length of the bar, 0 to 1.
        note: Why the number and what it would be worth seem to contradict each other; "" if not.
    """

    errors: BoxErrors
    name: str
    meaning: str
    share: float
    note: str = ""


def boxes_part(
    evaluation: BoxesEvaluation,
    pictures: Sequence[BoxesPicture] = (),
    *,
    trained_on: Sequence[int] = (),
    findings: Sequence[tuple[str, str]] = (),
    missing: BoxCrops = NO_CROPS,
) -> ReportPart:
    """Return the template, the values and the script that show an evaluation.

    Args:
        evaluation: The metrics, whose thresholds say which detections are shown.
        pictures: The images to show; the worst of them come first.
        trained_on: The number of training boxes of each class, or nothing if unknown.
        findings: What was found in the labels of the data: names and values.
        missing: Crops of boxes that are probably missing in the labels.
    """
    panels = [
        _panel(result, count) for result, count in zip_longest(evaluation.per_class, trained_on)
    ]
    panels.sort(key=lambda panel: _weakness(panel.result))
    classes = [result.name for result in evaluation.per_class]
    thresholds = [result.threshold for result in evaluation.per_class]
    worst = sorted(
        (AnalysedPicture(picture, classes, thresholds) for picture in pictures),
        key=lambda picture: -picture.wrong,
    )
    values = {
        "counted": bool(trained_on),
        "panels": panels,
        "measured": [panel for panel in panels if panel.result.boxes],
        "open_curves": OPEN_CURVES,
        "errors": _bars(evaluation.errors),
        "chosen": any(map(_is_chosen, evaluation.per_class)),
        "fallback": FALLBACK,
        "pictures": [picture.whole() for picture in worst[:MAX_PICTURES]],
        "misses": missed_crops(worst),
        "false_alarms": false_alarm_crops(worst),
        "findings": tuple(findings),
        "missing": missing,
    }
    return ReportPart("boxes.html.jinja", values, read_scripts("sorting", "contents", "tapping"))


def _is_chosen(result: BoxClassResult) -> bool:
    """Return whether the threshold of a class was chosen, on images that were held out."""
    return result.threshold != FALLBACK or not result.shortfall


def _weakness(result: BoxClassResult) -> float:
    return math.inf if result.ap50 is None else result.ap50


def _panel(result: BoxClassResult, trained_on: int | None) -> ClassPanel:
    at_threshold = None
    if result.recall is not None and result.precision is not None:
        at_threshold = 100 * result.recall, 100 - 100 * result.precision
    return ClassPanel(result, trained_on, _path(result.precision_recall), at_threshold)


def _path(points: Sequence[CurvePoint]) -> str:
    """Return a curve as an SVG path that ends on the axis of recall."""
    if not points:
        return ""
    line = "L".join(f"{100 * x:.0f} {100 - 100 * y:.1f}" for x, y in points)
    return f"M{line}V100"


def _bars(errors: Sequence[BoxErrors]) -> list[ErrorBar]:
    most = max((one.count for one in errors), default=0) or 1
    return [
        ErrorBar(
            *(one, KIND_NAMES[one.kind].capitalize(), _MEANINGS[one.kind], one.count / most),
            _note(one),
        )
        for one in errors
    ]


def _note(errors: BoxErrors) -> str:
    """Return why a number of errors and their worth seem to contradict each other."""
    if errors.gain is None or bool(errors.count) == (abs(errors.gain) >= _VISIBLE):
        return ""
    if errors.count:
        return "found below the threshold" if errors.kind == "missed" else ""
    return "below the threshold"
