"""Measure the predictions of a model by slices: which metrics, and what is tested."""

from collections.abc import Mapping, Sequence

import numpy as np

from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets
from headstart.evaluation.bootstrap import RESAMPLES
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.measuring import Measurement
from headstart.evaluation.slices import PERMUTATIONS, Slice, measure_slices
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    Ratio,
    f1,
    mean_of_values,
)
from headstart.record import MetricValue, SliceResult, SliceResults

_TWO = 2
# With more pairs of an image and a class, times columns, fewer resamples and permutations are
# drawn, so that slices take seconds and not minutes.
_MAX_RESAMPLED, _MAX_PERMUTED = 10**8, 2 * 10**7
_FEWEST = 499


def slice_classes(
    probabilities: Probabilities,
    targets: Targets,
    predicted: Targets,
    losses: Numbers,
    slices: Mapping[str, Sequence[str]],
    *,
    positive: int | None = None,
    groups: Rows | None = None,
) -> SliceResults | None:
    """Measure predictions of one label per image by slices, which are compared by accuracy.

    Args:
        probabilities: Shape (images, classes).
        targets: True class numbers, shape (images,).
        predicted: Predicted class numbers, shape (images,).
        losses: The log loss of each image, shape (images,).
        slices: The value of each image, by the name of the column.
        positive: The class that has an operating point; None without one.
        groups: The number of each image's group, shape (images,); None if images are independent.

    Returns:
        The slices; None without any column.
    """
    if not slices:
        return None
    metrics = _of_classes(probabilities, targets, predicted)
    metrics["log_loss"] = mean_of_values(losses)
    if positive is not None:
        metrics |= _at_threshold(predicted == positive, targets == positive)
    return _measured("accuracy", metrics, slices, targets, groups, probabilities.size)


def slice_labels(
    probabilities: Probabilities,
    targets: Targets,
    predicted: Flags,
    losses: Numbers,
    strata: Rows,
    slices: Mapping[str, Sequence[str]],
    *,
    groups: Rows | None = None,
) -> SliceResults | None:
    """Measure predictions of several labels per image by slices, compared by the macro AUROC.

    Macro means of a slice are over the labels that some of its images have and some lack. Where
    there are none in all images, the subset accuracy is compared.

    Args:
        probabilities: Shape (images, classes).
        targets: 1 present, 0 absent, -1 unknown, shape (images, classes).
        predicted: Which labels are predicted, shape (images, classes).
        losses: The sum over the known labels of the log loss of each image, shape (images,).
        strata: The stratum of each image, within which slices are permuted, shape (images,).
        slices: See `slice_classes`.
        groups: See `slice_classes`.

    Returns:
        The slices; None without any column.
    """
    if not slices:
        return None
    metrics = _of_labels(probabilities, targets, predicted)
    metrics["log_loss"] = Ratio(losses, (targets >= 0).sum(axis=1).astype(np.float64))
    tested = "macro_auroc" if "macro_auroc" in metrics else "subset_accuracy"
    return _measured(tested, metrics, slices, strata, groups, probabilities.size)


def _measured(
    tested: str,
    metrics: Mapping[str, Metric],
    slices: Mapping[str, Sequence[str]],
    strata: Rows,
    groups: Rows | None,
    pairs: int,
) -> SliceResults:
    """Measure slices; `pairs` is the number of pairs of an image and a class."""
    work = pairs * len(slices)
    found = measure_slices(
        *(metrics, slices, strata, groups),
        tested=tested,
        resamples=int(np.clip(_MAX_RESAMPLED // work, _FEWEST, RESAMPLES)),
        permutations=int(np.clip(_MAX_PERMUTED // work, _FEWEST, PERMUTATIONS)),
    )
    return SliceResults(tested, tuple(map(_result, found)))


def _of_classes(
    probabilities: Probabilities, targets: Targets, predicted: Targets
) -> dict[str, Metric]:
    rows, classes = np.arange(len(targets)), range(probabilities.shape[1])
    areas = [(AreaUnderRoc(probabilities[:, one], targets == one), rows) for one in classes]
    scores = [(f1(predicted == one, targets == one), rows) for one in np.unique(targets)]
    metrics: dict[str, Metric] = {
        "accuracy": Rate(predicted == targets, np.ones(len(targets), np.bool_)),
        "macro_f1": MacroMean.of(scores, len(rows)),
        "auroc": areas[1][0] if len(areas) == _TWO else MacroMean.of(areas, len(rows)),
    }
    return metrics


def _at_threshold(predicted: Flags, positive: Flags) -> dict[str, Metric]:
    return {
        "sensitivity": Rate(predicted, positive),
        "specificity": Rate(~predicted, ~positive),
        "ppv": Rate(positive, predicted),
        "npv": Rate(~positive, ~predicted),
    }


def _of_labels(
    probabilities: Probabilities, targets: Targets, predicted: Flags
) -> dict[str, Metric]:
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
    return metrics


def _result(one: Slice) -> SliceResult:
    metrics = {name: _metric(measured) for name, measured in one.metrics.items()}
    return SliceResult(
        *(one.column, one.value, one.images, metrics, one.difference, one.p, one.adjusted_p),
        differs=one.differs,
    )


def _metric(measured: Measurement) -> MetricValue:
    return MetricValue(measured.value, measured.ci95, measured.method if measured.ci95 else None)
