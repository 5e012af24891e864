"""Bootstrap intervals of any metric, over images or over groups of dependent images."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from headstart.arrays import Numbers, Rows
from headstart.evaluation.intervals import Z95
from headstart.evaluation.weighted_metrics import Metric, measure_once
from headstart.record import Interval

RESAMPLES = 2000

# The number of weights at a time: about a megabyte stays in the processor's cache.
_BLOCK = 2**17
# More units are left out of the jackknife in blocks: the acceleration needs no more precision.
_JACKKNIFED = 1000
# Quantiles further out than this cannot be read from 2,000 resamples.
_FURTHEST = 3.5


@dataclass(frozen=True)
class Bootstrap:
    """A metric and its bootstrap interval.

    Attributes:
        value: The metric of all images; None if it is undefined.
        ci95: Its 95% interval; None if the metric is undefined, or equal in all resamples.
        standard_error: Its standard error, by the bootstrap or the jackknife, whichever is larger;
            0 without an interval. It is larger for few images or groups, so that 1.96 of it are
            half the width of an interval by Student's t distribution.
        resamples: The number of resamples that were drawn.
        undefined: The number of resamples in which the metric is undefined. The interval leaves
            them out.
    """

    value: float | None
    ci95: Interval | None
    standard_error: float
    resamples: int
    undefined: int


def bootstrap(
    metric: Metric, groups: Rows | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Bootstrap:
    """Compute a metric with its bootstrap interval.

    With groups, whole groups are drawn, because the images of one patient are not independent
    (cluster bootstrap; Field and Welsh, 2007). The interval is bias-corrected and accelerated
    (Efron, 1987), with wider quantiles that make up for the spread of few images or groups being
    underestimated (Hesterberg, 2015, section 5.3).

    Args:
        metric: The metric of the images.
        groups: The number of each image's group, shape (images,); None if images are independent.
        resamples: The number of resamples.
        seed: The same seed draws the same resamples.
    """
    value = measure_once(metric)
    if value is None:
        return Bootstrap(None, None, 0.0, resamples, resamples)
    numbers, count = number_groups(groups, metric.images)
    drawn = _resample(metric, numbers, count, resamples, seed)
    defined = drawn[~np.isnan(drawn)]
    undefined = resamples - len(defined)
    if not len(defined) or np.allclose(defined, defined[0], rtol=1e-12, atol=1e-15):
        return Bootstrap(value, None, 0.0, resamples, undefined)
    left_out = _leave_out(metric, numbers, count)
    wide = sqrt(count / (count - 1)) * float(student.ppf(0.975, count - 1))
    interval = _accelerated(defined, value, _acceleration(left_out), min(wide, _FURTHEST))
    error = max(float(defined.std()), _jackknife_error(left_out)) * wide / Z95
    return Bootstrap(value, interval, error, resamples, undefined)


def number_groups(groups: Rows | None, images: int) -> tuple[Rows, int]:
    """Number the groups of images from 0; without groups, every image is a group of its own.

    Returns:
        The group of each image, shape (images,), and the number of groups.
    """
    if groups is None:
        return np.arange(images), images
    known, numbers = np.unique(groups, return_inverse=True)
    return numbers.astype(np.int64), len(known)


def blocks(sets: int, images: int) -> Iterator[int]:
    """Yield the numbers of sets of weights that are computed at a time; their sum is `sets`."""
    size = max(1, _BLOCK // max(images, 1))
    for start in range(0, sets, size):
        yield min(size, sets - start)


def _resample(metric: Metric, numbers: Rows, count: int, resamples: int, seed: int) -> Numbers:
    """Return the metric of each resample, shape (resamples,)."""
    draw = np.random.default_rng(seed)
    return np.concatenate(
        [
            metric(_draw_counts(draw, count, size)[:, numbers].astype(np.float64))
            for size in blocks(resamples, metric.images)
        ]
    )


def _draw_counts(draw: np.random.Generator, count: int, sets: int) -> Rows:
    """Return how often each group is drawn, shape (sets, groups)."""
    drawn = draw.integers(count, size=(sets, count))
    drawn += count * np.arange(sets)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=sets * count).reshape(sets, count)


def _leave_out(metric: Metric, numbers: Rows, count: int) -> Numbers:
    """Return the metric without each group or block of groups, where it is defined."""
    folds = min(count, _JACKKNIFED)
    left_out = numbers % folds
    start, values = 0, []
    for size in blocks(folds, metric.images):
        fold = np.arange(start, start + size)[:, np.newaxis]
        values.append(metric((left_out != fold).astype(np.float64)))
        start += size
    found = np.concatenate(values)
    return found[~np.isnan(found)]


def jackknife_error(metric: Metric, groups: Rows | None = None) -> float:
    """Return the standard error of a metric by the jackknife, over images or groups."""
    return _jackknife_error(_leave_out(metric, *number_groups(groups, metric.images)))


def _jackknife_error(left_out: Numbers) -> float:
    """Return the standard error of a metric from its values without each group."""
    folds = len(left_out)
    return sqrt(folds - 1) * float(left_out.std()) if folds else 0.0


def _acceleration(left_out: Numbers) -> float:
    """Return the acceleration of the interval, -1/6 to 1/6."""
    deviation = left_out.mean() - left_out if len(left_out) else left_out
    spread = float((deviation**2).sum())
    return float((deviation**3).sum()) / (6 * spread * sqrt(spread)) if spread > 0 else 0.0


def _accelerated(drawn: Numbers, value: float, acceleration: float, wide: float) -> Interval:
    """Return the interval of a metric from its values in the resamples; `wide` is 1.96 or more."""
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    bias = float(np.clip(ndtri(below), -_FURTHEST, _FURTHEST))
    low, high = (
        ndtr(bias + shifted / max(1 - acceleration * shifted, 1e-9))
        for shifted in (bias - wide, bias + wide)
    )
    return float(np.quantile(drawn, low)), float(np.quantile(drawn, high))
