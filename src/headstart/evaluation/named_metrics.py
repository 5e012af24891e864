"""The metrics of a set of predictions by name, as metrics of weighted images."""

from __future__ import annotations

import numpy as np

from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    Ratio,
    f1,
    mean_of_values,
)

_TWO = 2


def class_metrics(
    probabilities: Probabilities, targets: Targets, predicted: Targets, losses: Numbers
) -> dict[str, Metric]:
    """Return the metrics of predictions of one label per image.

    Args:
        probabilities: Shape (images, classes).
        targets: True class numbers, shape (images,).
        predicted: Predicted class numbers, shape (images,).
        losses: The log loss of each image, shape (images,).
    """
    rows, classes = np.arange(len(targets)), range(probabilities.shape[1])
    areas = [(AreaUnderRoc(probabilities[:, one], targets == one), rows) for one in classes]
    scores = [(f1(predicted == one, targets == one), rows) for one in np.unique(targets)]
    metrics: dict[str, Metric] = {
        "accuracy": Rate(predicted == targets, np.ones(len(targets), np.bool_)),
        "macro_f1": MacroMean.of(scores, len(rows)),
        "auroc": areas[1][0] if len(areas) == _TWO else MacroMean.of(areas, len(rows)),
        "log_loss": mean_of_values(losses),
    }
    return metrics


def label_metrics(
    probabilities: Probabilities, targets: Targets, predicted: Flags, losses: Numbers
) -> dict[str, Metric]:
    """Return the metrics of predictions of several labels per image.

    Macro means are over the labels that some images have and some lack, and missing without any.

    Args:
        probabilities: Shape (images, classes).
        targets: 1 present, 0 absent, -1 unknown, shape (images, classes).
        predicted: Which labels are predicted, shape (images, classes).
        losses: The sum over the known labels of the log loss of each image, shape (images,).
    """
    images = len(targets)
    areas: list[tuple[Metric, Rows]] = []
    precisions: list[tuple[Metric, Rows]] = []
    scores: list[tuple[Metric, Rows]] = []
    positives: list[Flags | None] = []
    for probability, target, found in zip(probabilities.T, targets.T, predicted.T, strict=True):
        rows = np.flatnonzero(target >= 0)
        positive = target[rows] == 1
        if positive.all() or not positive.any():
            continue
        areas.append((AreaUnderRoc(probability[rows], positive), rows))
        precisions.append((AveragePrecision(probability[rows], positive), rows))
        scores.append((f1(found[rows], positive), rows))
        positives.append(positive)
    metrics: dict[str, Metric] = {}
    if areas:
        metrics["macro_auroc"] = MacroMean.of(areas, images, positives)
        metrics["macro_ap"] = MacroMean.of(precisions, images, positives)
        metrics["macro_f1"] = MacroMean.of(scores, images, positives)
    known = targets >= 0
    correct = ((predicted == (targets == 1)) | ~known).all(axis=1)
    metrics["subset_accuracy"] = Rate(np.asarray(correct), np.asarray(known.any(axis=1)))
    metrics["log_loss"] = Ratio(losses, known.sum(axis=1).astype(np.float64))
    return metrics
