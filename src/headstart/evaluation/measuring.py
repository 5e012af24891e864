"""The interval of a metric, by the method that suits the metric and the images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.arrays import Flags, Rows
from headstart.evaluation.bootstrap import RESAMPLES, Bootstrap, bootstrap
from headstart.evaluation.delong import measure_auroc, perfect_interval
from headstart.evaluation.intervals import logit_interval, wilson
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    measure_once,
)
from headstart.record import Interval

Method = Literal[
    "Wilson", "DeLong", "bootstrap", "cluster bootstrap", "Wilson, groups", "Newcombe, groups"
]
"""How an interval was computed. The last two count groups in place of images."""


@dataclass(frozen=True)
class Measurement:
    """A metric with its interval.

    Attributes:
        value: The metric; None if it is undefined for these images.
        ci95: Its 95% interval; None if it cannot be estimated.
        method: How the interval was computed.
        undefined: The number of resamples that were left out, because the metric is undefined in
            them.
    """

    value: float | None
    ci95: Interval | None
    method: Method
    undefined: int = 0


def measure(
    metric: Metric, groups: Rows | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Measurement:
    """Measure a metric with its 95% interval.

    With groups, the interval is that of the cluster bootstrap. Without groups, it is Wilson's for
    a rate, DeLong's for an AUROC, and that of the bootstrap for any other metric. For the average
    precision and means over labels, it is computed from the standard error of the bootstrap or the
    jackknife, whichever is larger, and symmetric on the logit scale, as resamples are biased. Where
    all resamples agree because a rate or an AUROC is 0 or 1, the interval is that of as many
    independent images as there are groups. Groups of one image each are independent images.

    Args:
        metric: The metric of the images.
        groups: The number of each image's group, shape (images,); None if images are independent.
        resamples: The number of bootstrap resamples.
        seed: The seed of the bootstrap.
    """
    if groups is not None and len(np.unique(groups)) == metric.images:
        groups = None
    if groups is None and isinstance(metric, Rate):
        value = measure_once(metric)
        hits, among = int((metric.hits & metric.among).sum()), int(metric.among.sum())
        return Measurement(value, None if value is None else wilson(hits, among), "Wilson")
    if groups is None and isinstance(metric, AreaUnderRoc):
        area = measure_auroc(metric.scores, metric.positive)
        if area is None:
            return Measurement(None, None, "DeLong")
        return Measurement(area.value, area.ci95, "DeLong")
    method: Method = "bootstrap" if groups is None else "cluster bootstrap"
    found = bootstrap(metric, groups, resamples=resamples, seed=seed)
    if groups is not None and found.ci95 is None and found.value in (0, 1):
        return _measure_extreme(metric, found.value, groups, found.undefined)
    interval = _interval(metric, found)
    return Measurement(found.value, interval, method, found.undefined)


def _interval(metric: Metric, found: Bootstrap) -> Interval | None:
    """Return the interval of the bootstrap; from its standard error, where resamples are biased.

    Images that are drawn twice increase the average precision. In a mean over labels, of which
    each is a little biased, the bias exceeds the spread, and no quantile of resamples is right.
    """
    if found.value is None or not isinstance(metric, AveragePrecision | MacroMean):
        return found.ci95
    error = found.standard_error
    return logit_interval(found.value, error) if error else None


def _measure_extreme(metric: Metric, value: float, groups: Rows, undefined: int) -> Measurement:
    """Return a metric that is 0 or 1 in all resamples."""
    if isinstance(metric, Rate):
        count = _count(groups, metric.among)
        interval = wilson(count if value else 0, count)
        return Measurement(value, interval, "Wilson, groups", undefined)
    if isinstance(metric, AreaUnderRoc):
        positives, negatives = _count(groups, metric.positive), _count(groups, ~metric.positive)
        interval = perfect_interval(value, positives, negatives)
        return Measurement(value, interval, "Newcombe, groups", undefined)
    return Measurement(value, None, "cluster bootstrap", undefined)


def _count(groups: Rows, images: Flags) -> int:
    """Return the number of groups that some images belong to."""
    return len(np.unique(groups[images]))
