"""The curve of the threshold of two classes: its levels, and their plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Numbers, Probabilities, Rows, Targets
from headstart.report.test_images import Level, ThresholdCurve

_TWO = 2
_STEPS = 100
"""Levels for each unit of recall, and of the false positive rate."""


@dataclass(frozen=True)
class ThresholdPlot:
    """The plots of a curve, 100 wide and high; the y axis points down.

    Attributes:
        curve: What thresholds give.
        roc: The ROC curve: false positive rate and recall of each level.
        precision: Recall and precision of each level that predicts the positive class at all.
    """

    curve: ThresholdCurve
    roc: tuple[tuple[float, float], ...]
    precision: tuple[tuple[float, float], ...]

    @property
    def own(self) -> Level:
        """The model's own threshold."""
        return self.curve.levels[self.curve.own]

    @property
    def prevalence(self) -> float:
        """The share of the positive class."""
        return self.curve.positives / (self.curve.positives + self.curve.negatives)

    @property
    def steps(self) -> list[list[float]]:
        """Each level as a list of numbers, for the script."""
        return [
            [float(f"{level.threshold:.5g}"), level.true_positives, level.false_positives]
            for level in self.curve.levels
        ]


def threshold_curve(
    probabilities: Probabilities,
    targets: Targets,
    classes: Sequence[str],
    thresholds: Thresholds | None,
) -> ThresholdCurve | None:
    """Return what thresholds give; None without images of exactly two classes.

    The levels are at about equal distances along the ROC curve, so that a long curve needs no more
    of them than a short one. The counts of each are exact.

    Args:
        probabilities: Calibrated probabilities, (images, classes).
        targets: The class number of each image.
        classes: The names of the classes.
        thresholds: The operating point of the model.
    """
    counts = np.bincount(targets, minlength=len(classes))
    if len(classes) != _TWO or not counts.all():
        return None
    positive, own, purpose = _operating_point(counts, thresholds)
    scores, truth = probabilities[:, positive], targets == positive
    limits = np.unique([0.0, own, 1.0, *scores])
    found, mistaken = (_reached(scores[flags], limits) for flags in (truth, ~truth))
    kept = _kept(found / found[0] + mistaken / mistaken[0], int(np.searchsorted(limits, own)))
    levels = tuple(
        Level(float(limits[at]), int(found[at]), int(mistaken[at])) for at in kept.tolist()
    )
    number = next(at for at, level in enumerate(levels) if level.threshold == own)
    totals = int(counts[positive]), int(counts[1 - positive])
    return ThresholdCurve(
        *(classes[positive], classes[1 - positive], purpose, *totals, levels, number)
    )


def plot_threshold_curve(curve: ThresholdCurve | None) -> ThresholdPlot | None:
    """Plot the ROC and the precision-recall curve."""
    if curve is None:
        return None
    roc, precision = [], []
    for level in curve.levels:
        recall = 100 * level.true_positives / curve.positives
        roc.append((100 * level.false_positives / curve.negatives, 100 - recall))
        predicted = level.true_positives + level.false_positives
        if predicted:
            precision.append((recall, 100 - 100 * level.true_positives / predicted))
    return ThresholdPlot(curve, tuple(roc), tuple(precision))


def _operating_point(counts: Rows, thresholds: Thresholds | None) -> tuple[int, float, str]:
    """Return the number of the positive class, the model's own threshold and its purpose."""
    if thresholds is not None and thresholds.positive is not None:
        positive = thresholds.positive
        return positive, float(thresholds.values[positive]), thresholds.purpose
    positive = int(counts.argmin())
    # Of two equal probabilities, the first class is predicted.
    return positive, 0.5 if positive == 0 else float(np.nextafter(0.5, 1)), ""


def _reached(scores: Numbers, limits: Numbers) -> Numbers:
    """Return how many scores are at least each of the limits, both in ascending order."""
    below = np.searchsorted(np.sort(scores), limits, side="left")
    return np.asarray(len(scores) - below, dtype=np.float64)


def _kept(travelled: Numbers, own: int) -> Rows:
    """Return the numbers of limits at equal distances along the curve, with both ends."""
    _, first = np.unique(np.ceil(travelled * _STEPS), return_index=True)
    return np.union1d(first, [own, len(travelled) - 1])
