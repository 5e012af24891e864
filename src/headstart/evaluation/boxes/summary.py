"""An evaluation of boxes as text, for the terminal and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap, zip_longest

from headstart.data.paths import list_names
from headstart.evaluation.operating_points import DEFAULT_PURPOSE
from headstart.record import BoxClassResult, BoxesEvaluation, describe_metric
from headstart.task import Summary

MAX_CLASSES = 12
"""With more classes, the table has only those with the lowest AP50."""

_NOT_DEFINED = "\u2013"


def summarise_boxes(
    evaluation: BoxesEvaluation, split: str, trained_on: Sequence[int] = ()
) -> Summary:
    """Format an evaluation as text.

    Args:
        evaluation: The metrics.
        split: The name of the part, such as "validation" or "test"; "" for all of the data.
        trained_on: The number of training boxes of each class, or nothing if unknown.
    """
    low_high = evaluation.map50.ci95
    interval = f", 95% interval {low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
    return Summary(
        headline=evaluation.verdict,
        context=f" on {_images(evaluation, split)}{interval}",
        figures=f"mAP50-95 {describe_metric(evaluation.map)} · mAP75 "
        f"{_decimal(evaluation.map75)} · {_at_thresholds(evaluation)}",
        sentence=f"mAP50 over {_measured(evaluation)} on "
        f"{_images(evaluation, 'held-out test' if split == 'test' else split)}: "
        f"{describe_metric(evaluation.map50)}; mAP50-95 {describe_metric(evaluation.map)} (in "
        "brackets: 95% intervals).",
        columns=_columns(counted=bool(trained_on)),
        rows=_rows(evaluation.per_class, trained_on),
        note=" ".join(filter(None, (_not_measured(evaluation), _grouped(evaluation)))),
        operating=_operating(evaluation),
    )


def _images(evaluation: BoxesEvaluation, split: str) -> str:
    images, boxes = evaluation.images, evaluation.boxes
    part = f"{split} " if split else ""
    return (
        f"{images:,} {part}image{'' if images == 1 else 's'} with {boxes:,} "
        f"box{'' if boxes == 1 else 'es'}"
    )


def _measured(evaluation: BoxesEvaluation) -> str:
    """Return the number of classes that the means refer to."""
    number = len(evaluation.per_class) - len(evaluation.absent)
    return f"{number:,} class{'' if number == 1 else 'es'}"


def _operating(evaluation: BoxesEvaluation) -> tuple[str, ...]:
    """Return a sentence for each class that the table by class does not describe in full."""
    chosen = [
        result
        for result in evaluation.per_class
        if result.shortfall or (evaluation.purpose != DEFAULT_PURPOSE and result.boxes)
    ]
    more = [f"… and {len(chosen) - MAX_CLASSES} more classes"] if len(chosen) > MAX_CLASSES else []
    return (*(_at_threshold(evaluation, one) for one in chosen[:MAX_CLASSES]), *more)


def _at_threshold(evaluation: BoxesEvaluation, result: BoxClassResult) -> str:
    shortfall = f" {result.shortfall}" if result.shortfall else ""
    return (
        f"'{result.name}' at {evaluation.purpose} (probability of at least "
        f"{result.threshold:.3f}): {_rates(result)}.{shortfall}"
    )


def _at_thresholds(evaluation: BoxesEvaluation) -> str:
    """Return precision and recall at the thresholds, or which boxes there are none of."""
    if evaluation.precision is None:
        return "it predicts no box at the thresholds"
    if evaluation.recall is None:
        return "there are no true boxes"
    return (
        f"at the thresholds, {evaluation.precision:.1%} of predicted boxes are right and "
        f"{evaluation.recall:.1%} of true boxes are found"
    )


def _rates(result: BoxClassResult) -> str:
    """Return precision and recall of a class, or which boxes there are none of."""
    if not result.boxes:
        return f"there are no true boxes, and {_boxes(result.predicted)} predicted"
    if not result.predicted:
        return f"none of {result.boxes:,} true boxes is found, as no box is predicted"
    return (
        f"precision {_percent(result.precision)} of {result.predicted:,} predicted, recall "
        f"{_percent(result.recall)} of {result.boxes:,} true boxes"
    )


def _boxes(number: int) -> str:
    return "1 box is" if number == 1 else f"{number:,} boxes are" if number else "none is"


def _not_measured(evaluation: BoxesEvaluation) -> str:
    """Return a sentence about the classes without true boxes; "" if all have some."""
    if not evaluation.absent:
        return ""
    names = list_names(evaluation.absent)
    return f"Not measured, and in no mean, because no image has a box of them: {names}."


def _grouped(evaluation: BoxesEvaluation) -> str:
    if evaluation.groups is None:
        return ""
    return (
        f"Intervals are those of {evaluation.groups:,} groups of images: images of a group are not "
        "independent."
    )


def _columns(*, counted: bool) -> tuple[str, ...]:
    """Return the columns of the table by class, with those of `_row`."""
    metrics = ("AP50>", "AP50-95>", "threshold>", "recall>", "precision>", "F1>", "boxes>")
    return ("class", *metrics, *(["trained on>"] if counted else []))


def _rows(
    results: Sequence[BoxClassResult], trained_on: Sequence[int]
) -> tuple[tuple[str, ...], ...]:
    """Return a row for each class; if there are many, only for the weakest ones measured."""
    rows = list(zip_longest(results, trained_on))
    if len(rows) <= MAX_CLASSES:
        return tuple(starmap(_row, rows))
    measured = [(result, count) for result, count in rows if result.boxes]
    weakest = sorted(measured, key=lambda row: row[0].ap50 or 0.0)[:MAX_CLASSES]
    note = (f"… the {len(weakest)} of {len(measured)} classes with the lowest AP50",)
    return (*starmap(_row, weakest), *([note] if len(weakest) < len(measured) else []))


def _row(result: BoxClassResult, trained_on: int | None) -> tuple[str, ...]:
    row = (
        result.name,
        _decimal(result.ap50),
        _decimal(result.ap),
        f"{result.threshold:.3f}",
        _percent(result.recall),
        _percent(result.precision),
        _decimal(result.f1),
        f"{result.boxes:,}",
    )
    return row if trained_on is None else (*row, f"{trained_on:,}")


def _decimal(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value:.1%}"
