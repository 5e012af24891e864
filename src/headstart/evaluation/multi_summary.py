"""An evaluation with several labels per image as text, for the terminal and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap, zip_longest

from headstart.data.paths import list_names
from headstart.evaluation.operating_points import DEFAULT_PURPOSE
from headstart.record import (
    Interval,
    LabelResult,
    MetricValue,
    MultiEvaluation,
    describe_metric,
)
from headstart.task import Summary

MAX_LABELS = 12
"""With more labels, the table has only those with the lowest AUROC."""

_NOT_DEFINED = "\u2013"


def summarise(evaluation: MultiEvaluation, split: str, trained_on: Sequence[int] = ()) -> Summary:
    """Format an evaluation as text.

    Args:
        evaluation: The metrics.
        split: The name of the part, such as "validation" or "test"; "" for all of the data.
        trained_on: The number of training images with each label, or nothing if unknown.
    """
    macro = evaluation.auroc.macro
    images = f"{evaluation.images:,} {split} images".replace("  ", " ")
    return Summary(
        headline=evaluation.verdict,
        context=f" over {_count(evaluation)} on {images}{_interval(macro)}",
        figures=f"macro average precision {describe_metric(evaluation.average_precision.macro)} · "
        f"micro-F1 {describe_metric(evaluation.f1.micro)} · all labels of an image correct "
        f"{_percent(evaluation.subset_accuracy)} · calibration error {_decimal(evaluation.ece)}",
        sentence=f"Macro AUROC over {_count(evaluation)} on {evaluation.images:,} "
        f"{_described(split)}images: {describe_metric(macro)}; macro average precision "
        f"{describe_metric(evaluation.average_precision.macro)} (in brackets: 95% intervals).",
        columns=_columns(counted=bool(trained_on)),
        rows=_rows(evaluation.per_class, trained_on),
        note=" ".join(filter(None, (_not_measured(evaluation), _grouped(evaluation)))),
        operating=_operating(evaluation),
    )


def _operating(evaluation: MultiEvaluation) -> tuple[str, ...]:
    """Return a sentence for each label, unless the table by label says it all."""
    chosen = [
        result
        for result in evaluation.operating
        if result.purpose != DEFAULT_PURPOSE or result.prevalence is not None
    ]
    more = [f"… and {len(chosen) - MAX_LABELS} more labels"] if len(chosen) > MAX_LABELS else []
    return (*map(str, chosen[:MAX_LABELS]), *more)


def _count(evaluation: MultiEvaluation) -> str:
    """Return the number of labels that the means refer to."""
    number = len(evaluation.measured)
    return f"{number:,} label{'' if number == 1 else 's'}"


def _interval(metric: MetricValue) -> str:
    return "" if metric.ci95 is None else f", 95% interval {_bounds(metric.ci95)}"


def _described(split: str) -> str:
    """Return a part as it is called in a sentence."""
    return {"test": "held-out test ", "": ""}.get(split, f"{split} ")


def _not_measured(evaluation: MultiEvaluation) -> str:
    """Return a sentence about the labels that are not measured; "" if all are."""
    reasons: dict[str, list[str]] = {}
    for result in evaluation.unmeasured:
        reasons.setdefault(result.unmeasured, []).append(result.name)
    if not reasons:
        return ""
    named = "; ".join(f"{list_names(names)} ({reason})" for reason, names in reasons.items())
    return f"Not measured, and in no macro mean: {named}."


def _grouped(evaluation: MultiEvaluation) -> str:
    if evaluation.groups is None:
        return ""
    return (
        f"Intervals are those of {evaluation.groups:,} groups of images: images of a group are not "
        "independent."
    )


def _columns(*, counted: bool) -> tuple[str, ...]:
    """Return the columns of the table by label, with those of `_row`."""
    metrics = ("AUROC>", "95% interval", "AP>", "threshold>", "recall>", "precision>", "F1>")
    return ("label", *metrics, "positives>", *(["trained on>"] if counted else []))


def _rows(results: Sequence[LabelResult], trained_on: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each label; if there are many, only for the weakest ones measured."""
    rows = list(zip_longest(results, trained_on))
    if len(rows) <= MAX_LABELS:
        return tuple(starmap(_row, rows))
    measured = [(result, count) for result, count in rows if not result.unmeasured]
    weakest = sorted(measured, key=lambda row: row[0].auroc.value or 0.0)[:MAX_LABELS]
    note = (f"… the {len(weakest)} of {len(measured)} labels with the lowest AUROC",)
    return (*starmap(_row, weakest), *([note] if len(weakest) < len(measured) else []))


def _row(result: LabelResult, trained_on: int | None) -> tuple[str, ...]:
    row = (
        result.name,
        _decimal(result.auroc.value),
        _NOT_DEFINED if result.auroc.ci95 is None else _bounds(result.auroc.ci95),
        _decimal(result.average_precision.value),
        f"{result.threshold:.3f}",
        _percent(result.recall),
        _percent(result.precision),
        _decimal(result.f1.value),
        f"{result.positives:,} of {result.known:,}",
    )
    return row if trained_on is None else (*row, f"{trained_on:,}")


def _bounds(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _decimal(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value:.3f}"


def _percent(metric: MetricValue) -> str:
    return _NOT_DEFINED if metric.value is None else f"{metric.value:.1%}"
