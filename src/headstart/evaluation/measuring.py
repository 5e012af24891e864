"""The interval of a metric, by the method that suits the metric and the images."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from headstart.arrays import Flags, Rows
from headstart.evaluation.bootstrap import RESAMPLES, Bootstrap, bootstrap, jackknife_error
from headstart.evaluation.delong import (
    hanley_mcneil,
    is_sparse,
    measure_auroc,
    perfect_interval,
)
from headstart.evaluation.intervals import Z95, logit_interval, wilson
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    measure_once,
)
from headstart.record.estimates import Interval, IntervalMethod


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
    method: IntervalMethod
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

    With groups, the interval of an AUROC is at least as wide as that of Hanley and McNeil (1982)
    for as many images as there are groups, where the bootstrap is too narrow: if fewer than
    5 / min(AUROC, 1 - AUROC) groups are of the smaller class. A mean AUROC has this variance too.

    Args:
        metric: The metric of the images.
        groups: The number of each image's group, shape (images,); None if images are independent.
        resamples: The number of bootstrap resamples.
        seed: The seed of the bootstrap.
    """
    if groups is not None and len(np.unique(groups)) == metric.images:
        groups = None
    if groups is None and isinstance(metric, Rate | AreaUnderRoc):
        return _measure_independent(metric)
    if groups is not None and isinstance(metric, Rate):
        # Groups without images that count add no certainty.
        metric, groups = metric.take(np.flatnonzero(metric.among)), groups[metric.among]
    method: IntervalMethod = "bootstrap" if groups is None else "cluster bootstrap"
    found = bootstrap(metric, groups, resamples=resamples, seed=seed)
    single = not isinstance(metric, MacroMean)
    if groups is not None and single and found.ci95 is None and found.value in (0, 1):
        return _measure_extreme(metric, found.value, groups, found.undefined)
    if groups is not None and isinstance(metric, AreaUnderRoc) and found.value is not None:
        return _measure_area(metric, found.value, found, groups)
    interval = _interval(metric, found, groups)
    if interval and found.ci95 is None:  # A perfect mean AUROC.
        method = "DeLong" if groups is None else "Newcombe, groups"
    return Measurement(found.value, interval, method, found.undefined)


def _measure_independent(metric: Rate | AreaUnderRoc) -> Measurement:
    if isinstance(metric, AreaUnderRoc):
        area = measure_auroc(metric.scores, metric.positive)
        return Measurement(area.value if area else None, area.ci95 if area else None, "DeLong")
    value = measure_once(metric)
    hits, among = int((metric.hits & metric.among).sum()), int(metric.among.sum())
    return Measurement(value, None if value is None else wilson(hits, among), "Wilson")


def _measure_area(
    metric: AreaUnderRoc, value: float, found: Bootstrap, groups: Rows
) -> Measurement:
    """Return an AUROC of groups; the bootstrap cannot see how uncertain that of few groups is."""
    sizes = _count(groups, metric.positive), _count(groups, ~metric.positive)
    if not is_sparse(value, *sizes):
        return Measurement(value, found.ci95, "cluster bootstrap", found.undefined)
    low, high = logit_interval(value, sqrt(hanley_mcneil(value, *sizes)))
    own_low, own_high = found.ci95 or (low, high)
    wider = min(low, own_low), max(high, own_high)
    return Measurement(value, wider, "Hanley-McNeil, groups", found.undefined)


def _interval(metric: Metric, found: Bootstrap, groups: Rows | None) -> Interval | None:
    """Return the interval of the bootstrap; from its standard error, where resamples are biased.

    Images that are drawn twice increase the average precision. In a mean over labels, of which
    each is a little biased, the bias exceeds the spread, and no quantile of resamples is right.
    """
    if found.value is None or not isinstance(metric, AveragePrecision | MacroMean):
        return found.ci95
    added = _added_variance(metric, groups) if isinstance(metric, MacroMean) else 0.0
    error = sqrt(found.standard_error**2 + added)
    return logit_interval(found.value, error) if error else None


def _added_variance(mean: MacroMean, groups: Rows | None) -> float:
    """Return what the variance of a mean AUROC lacks for labels of few images or groups."""
    total = 0.0
    for label in mean.labels:
        if not isinstance(label.metric, AreaUnderRoc):
            continue
        positive, own = label.metric.positive, label.rows if groups is None else groups[label.rows]
        sizes = _count(own, positive), _count(own, ~positive)
        if label.value in (0, 1):
            low, high = perfect_interval(label.value, *sizes)
            total += ((high - low) / Z95) ** 2
        elif is_sparse(label.value, *sizes):
            seen = jackknife_error(label.metric, own) ** 2
            total += max(hanley_mcneil(label.value, *sizes) - seen, 0.0)
    return total / max(len(mean.labels), 1) ** 2


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
