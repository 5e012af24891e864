"""Area under the ROC curve (AUROC) with its standard error and interval, and paired comparison."""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from headstart.arrays import Flags, Numbers
from headstart.evaluation.intervals import Z95, logit_interval
from headstart.record import Interval

# With fewer images of a class that are expected to be ranked wrongly, DeLong's variance is too
# small; see docs/decisions/intervals.md.
_MIN_EXPECTED = 5


@dataclass(frozen=True)
class Auroc:
    """An area under the ROC curve.

    Attributes:
        value: The probability that a positive image scores higher than a negative one, 0 to 1.
        standard_error: Its standard error; 0 if the ranking is perfect.
        ci95: Its 95% interval.
    """

    value: float
    standard_error: float
    ci95: Interval


@dataclass(frozen=True)
class AurocDifference:
    """The difference between two areas under the ROC curve, measured on the same images.

    Attributes:
        value: The first area minus the second, -1 to 1.
        standard_error: Its standard error.
        ci95: Its 95% interval.
        p: The two-sided p-value of no difference, 0 to 1.
    """

    value: float
    standard_error: float
    ci95: Interval
    p: float


@dataclass(frozen=True)
class _Placements:
    """For each image, the share of images of the other class that are ranked correctly."""

    of_positives: Numbers
    of_negatives: Numbers

    @property
    def value(self) -> float:
        return float(self.of_positives.mean())

    @property
    def smaller(self) -> int:
        """The number of images in the smaller class."""
        return min(len(self.of_positives), len(self.of_negatives))

    def variance(self) -> float:
        """Return DeLong's variance; it needs two images of each class."""
        positives, negatives = self.of_positives, self.of_negatives
        return float(
            positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)
        )


def measure_auroc(scores: Numbers, positive: Flags) -> Auroc | None:
    """Measure the AUROC of scores, with its standard error and interval.

    The variance is DeLong's (DeLong, DeLong and Clarke-Pearson, 1988), computed from mid-ranks
    (Sun and Xu, 2014). The interval is symmetric on the logit scale (Qin and Hotilovac, 2008).
    DeLong's variance is too small if few images are ranked wrongly. If the smaller class has fewer
    than 5 / min(AUROC, 1 - AUROC) images, the variance is the larger of DeLong's and that of
    Hanley and McNeil (1982). Where it is 0 because the ranking is perfect, the interval is that of
    `perfect_interval`.

    Args:
        scores: Scores or probabilities, higher for positive images, shape (images,).
        positive: Which images are positive, shape (images,).

    Returns:
        The AUROC, in which ties count as half; None unless some images are positive and some not.
    """
    placements = _place(scores, positive)
    return None if placements is None else _measure(placements)


def compare_auroc(first: Numbers, second: Numbers, positive: Flags) -> AurocDifference | None:
    """Compare the AUROCs of two models on the same images by DeLong's paired test.

    The variance of the difference includes the covariance of the two AUROCs (DeLong, DeLong and
    Clarke-Pearson, 1988; Sun and Xu, 2014). Where it cannot be estimated, because a class has a
    single image or both rankings are perfect, the two intervals are combined as if they were
    independent (Newcombe, 1998).

    Args:
        first: Scores of the first model, shape (images,).
        second: Scores of the second model, shape (images,).
        positive: Which images are positive, shape (images,).

    Returns:
        The difference; None unless some images are positive and some not.
    """
    one, other = _place(first, positive), _place(second, positive)
    if one is None or other is None:
        return None
    value = one.value - other.value
    if one.smaller < 2 or one.value == other.value in (0, 1):
        return _independent_difference(value, _measure(one), _measure(other))
    error = sqrt(
        _Placements(
            one.of_positives - other.of_positives, one.of_negatives - other.of_negatives
        ).variance()
    )
    interval = max(value - Z95 * error, -1.0), min(value + Z95 * error, 1.0)
    return AurocDifference(value, error, interval, _p_value(value, error))


def perfect_interval(value: float, positives: int, negatives: int) -> Interval:
    """Return the interval of an AUROC of 0 or 1, for which the variance is estimated as 0.

    It contains the areas that differ from the estimate by at most 1.96 of their own standard
    errors, as in Wilson's interval (Newcombe, 2006, method 5).

    Args:
        value: 0 or 1.
        positives: The number of positive images, or of independent groups of them, at least 1.
        negatives: The same for negative images.
    """

    def excess(area: float) -> float:
        return (1 - area) ** 2 - Z95**2 * hanley_mcneil(area, positives, negatives)

    # Just below 1 the excess is negative, as the variance is linear in the distance to 1.
    low = brentq(excess, 0.0, 1 - 1e-12)
    return (low, 1.0) if value else (0.0, 1 - low)


def _place(scores: Numbers, positive: Flags) -> _Placements | None:
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    ranks = rankdata(scores)
    return _Placements(
        (ranks[positive] - rankdata(scores[positive])) / negatives,
        1 - (ranks[~positive] - rankdata(scores[~positive])) / positives,
    )


def _measure(placements: _Placements) -> Auroc:
    value = placements.value
    sizes = len(placements.of_positives), len(placements.of_negatives)
    if value in (0, 1):
        return Auroc(value, 0.0, perfect_interval(value, *sizes))
    error = sqrt(_variance(placements))
    return Auroc(value, error, logit_interval(value, error))


def _variance(placements: _Placements) -> float:
    """Return the variance of an AUROC between 0 and 1."""
    sizes = len(placements.of_positives), len(placements.of_negatives)
    if not is_sparse(placements.value, *sizes):
        return placements.variance()
    approximate = hanley_mcneil(placements.value, *sizes)
    return approximate if placements.smaller < 2 else max(approximate, placements.variance())


def is_sparse(area: float, positives: int, negatives: int) -> bool:
    """Return whether so few images, or groups, are ranked wrongly that a variance is too small."""
    return min(positives, negatives) * min(area, 1 - area) < _MIN_EXPECTED


def hanley_mcneil(area: float, positives: int, negatives: int) -> float:
    """Return the variance of an AUROC, with both classes of the same weight (Newcombe, 2006)."""
    others = (positives + negatives) / 2 - 1
    pairs = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * pairs / (positives * negatives)


def _independent_difference(value: float, first: Auroc, second: Auroc) -> AurocDifference:
    below = hypot(first.value - first.ci95[0], second.ci95[1] - second.value)
    above = hypot(first.ci95[1] - first.value, second.value - second.ci95[0])
    error = hypot(first.standard_error, second.standard_error)
    interval = max(value - below, -1.0), min(value + above, 1.0)
    return AurocDifference(value, error, interval, _p_value(value, error))


def _p_value(value: float, error: float) -> float:
    """Return the two-sided p-value of a difference with a standard error."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(np.clip(2 * norm.sf(abs(value) / error), 0.0, 1.0))
