"""Measure the predictions of a model by slices: which metrics, and what is tested."""

from collections.abc import Mapping, Sequence

import numpy as np

from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets
from headstart.evaluation.bootstrap import RESAMPLES
from headstart.evaluation.measuring import Measurement
from headstart.evaluation.named_metrics import class_metrics, label_metrics
from headstart.evaluation.slices import PERMUTATIONS, Slice, measure_slices
from headstart.evaluation.weighted_metrics import Metric, Rate
from headstart.record import MetricValue, SliceResult, SliceResults

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
    metrics = class_metrics(probabilities, targets, predicted, losses)
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
    metrics = label_metrics(probabilities, targets, predicted, losses)
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


def _at_threshold(predicted: Flags, positive: Flags) -> dict[str, Metric]:
    return {
        "sensitivity": Rate(predicted, positive),
        "specificity": Rate(~predicted, ~positive),
        "ppv": Rate(positive, predicted),
        "npv": Rate(~positive, ~predicted),
    }


def _result(one: Slice) -> SliceResult:
    metrics = {name: _metric(measured) for name, measured in one.metrics.items()}
    return SliceResult(
        *(one.column, one.value, one.images, metrics, one.difference, one.p, one.adjusted_p),
        differs=one.differs,
    )


def _metric(measured: Measurement) -> MetricValue:
    return MetricValue(measured.value, measured.ci95, measured.method if measured.ci95 else None)
