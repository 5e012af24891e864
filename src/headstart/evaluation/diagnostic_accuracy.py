"""Sensitivity, specificity, predictive values and likelihood ratios at a threshold."""

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
from scipy.stats import t as student

from headstart.arrays import Flags, Numbers, Rows
from headstart.errors import OptionError
from headstart.evaluation.bootstrap import number_groups
from headstart.evaluation.intervals import Z95
from headstart.evaluation.measuring import Measurement, measure
from headstart.evaluation.weighted_metrics import Rate
from headstart.record import Interval


@dataclass(frozen=True)
class LikelihoodRatio:
    """By which factor a prediction changes the odds that an image is positive.

    Attributes:
        value: The factor, above 0.
        ci95: Its 95% interval; None if the positive or the negative images are of one
            group.
        corrected: Whether half an image was added to each cell of the confusion matrix, because
            a cell is empty.
    """

    value: float
    ci95: Interval | None
    corrected: bool


@dataclass(frozen=True)
class DiagnosticAccuracy:
    """What predictions at a threshold are worth.

    Attributes:
        threshold: Images are predicted positive if their probability is at least this.
        true_positives: The number of positive images that are predicted positive.
        false_positives: The number of negative images that are predicted positive.
        true_negatives: The number of negative images that are predicted negative.
        false_negatives: The number of positive images that are predicted negative.
        sensitivity: The share of positive images that are predicted positive.
        specificity: The share of negative images that are predicted negative.
        ppv: The share of positive images among those predicted positive.
        npv: The share of negative images among those predicted negative.
        positive_likelihood_ratio: Of a positive prediction, sensitivity / (1 - specificity); None
            without positive or negative images, or if none is predicted positive.
        negative_likelihood_ratio: Of a negative prediction, (1 - sensitivity) / specificity; None
            without positive or negative images, or if none is predicted negative.
    """

    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    sensitivity: Measurement
    specificity: Measurement
    ppv: Measurement
    npv: Measurement
    positive_likelihood_ratio: LikelihoodRatio | None
    negative_likelihood_ratio: LikelihoodRatio | None


@dataclass(frozen=True)
class PredictiveValues:
    """Predictive values at a stated prevalence.

    Attributes:
        prevalence: The share of images that are positive, between 0 and 1.
        ppv: The probability that a positive prediction is correct; None if there is no likelihood
            ratio.
        ppv_ci95: Its 95% interval; None if the likelihood ratio has none.
        npv: The probability that a negative prediction is correct; None if there is no likelihood
            ratio.
        npv_ci95: Its 95% interval; None if the likelihood ratio has none.
    """

    prevalence: float
    ppv: float | None
    ppv_ci95: Interval | None
    npv: float | None
    npv_ci95: Interval | None


def measure_at_threshold(
    probabilities: Numbers,
    positive: Flags,
    threshold: float,
    groups: Rows | None = None,
    *,
    seed: int = 0,
) -> DiagnosticAccuracy:
    """Measure predictions at a threshold, with 95% intervals.

    Rates have Wilson's interval, or that of the cluster bootstrap with groups. Likelihood ratios
    have the interval of the log method (Simel, Samsa and Matchar, 1991), with groups in its
    cluster-robust form (Liang and Zeger, 1986).

    Args:
        probabilities: Probabilities of the positive class, shape (images,).
        positive: Which images are positive, shape (images,).
        threshold: Images are predicted positive if their probability is at least this.
        groups: The number of each image's group, shape (images,); None if images are independent.
        seed: The seed of the bootstrap.
    """
    predicted = probabilities >= threshold

    def rate(hits: Flags, among: Flags) -> Measurement:
        return measure(Rate(hits, among), groups, seed=seed)

    return DiagnosticAccuracy(
        threshold=threshold,
        true_positives=int((predicted & positive).sum()),
        false_positives=int((predicted & ~positive).sum()),
        true_negatives=int((~predicted & ~positive).sum()),
        false_negatives=int((~predicted & positive).sum()),
        sensitivity=rate(predicted, positive),
        specificity=rate(~predicted, ~positive),
        ppv=rate(positive, predicted),
        npv=rate(~positive, ~predicted),
        positive_likelihood_ratio=likelihood_ratio(predicted, positive, groups),
        negative_likelihood_ratio=likelihood_ratio(~predicted, positive, groups),
    )


def likelihood_ratio(
    predicted: Flags, positive: Flags, groups: Rows | None = None
) -> LikelihoodRatio | None:
    """Return how much more often positive images have a prediction than negative images have.

    Args:
        predicted: Which images have the prediction, shape (images,).
        positive: Which images are positive, shape (images,).
        groups: The number of each image's group, shape (images,); None if images are independent.

    Returns:
        The ratio, with the interval of the log method; None unless some images are positive, some
        are not, and some have the prediction.
    """
    if not predicted.any() or positive.all() or not positive.any():
        return None
    counts = np.array([(predicted & positive).sum(), (predicted & ~positive).sum()], np.float64)
    images = np.array([positive.sum(), (~positive).sum()], np.float64)
    added = 0.0 if counts.all() and (images - counts).all() else 0.5
    counts, images = counts + added, images + 2 * added
    value = float((counts[0] / images[0]) / (counts[1] / images[1]))
    # How much an image with the prediction and one without it change the log of the ratio, for
    # positive and for negative images.
    sign = np.array([1, -1])
    changes = np.array([sign * (1 / counts - 1 / images), -sign / images])
    of_images = changes[np.where(predicted, 0, 1), np.where(positive, 0, 1)]
    half = _half_width(of_images, added * float((changes**2).sum()), positive, groups)
    interval = None if half is None else (value * exp(-half), value * exp(half))
    return LikelihoodRatio(value, interval, added > 0)


def _half_width(
    changes: Numbers, added: float, positive: Flags, groups: Rows | None
) -> float | None:
    """Return half the width of the interval of a sum of changes.

    The degrees of freedom are those of the class with fewer groups, as it dominates the variance.
    None if that is a single group.

    Args:
        changes: The change by each image, shape (images,), with a mean of 0.
        added: The variance of what was added to the images.
        positive: Which images are positive, shape (images,).
        groups: The number of each image's group; None if images are independent.
    """
    if groups is None:
        return Z95 * sqrt(float((changes**2).sum()) + added)
    numbers, _ = number_groups(groups, len(changes))
    count = min(len(np.unique(groups[positive])), len(np.unique(groups[~positive])))
    if count < 2:
        return None
    variance = float((np.bincount(numbers, changes) ** 2).sum()) + added
    return float(student.ppf(0.975, count - 1)) * sqrt(variance * count / (count - 1))


def at_prevalence(accuracy: DiagnosticAccuracy, prevalence: float) -> PredictiveValues:
    """Return the predictive values at a stated prevalence, by Bayes' theorem.

    Test images often have another share of positive images than the images that a model is used
    for. Intervals are those of the likelihood ratios (Mercaldo, Lau and Zhou, 2007); the
    prevalence is taken as known.

    Args:
        accuracy: The predictions at a threshold.
        prevalence: The share of images that are positive, above 0 and below 1.

    Raises:
        OptionError: The prevalence is out of range.
    """
    if not 0 < prevalence < 1:
        raise OptionError(f"prevalence must be above 0 and below 1. Got {prevalence:g}.")
    odds = prevalence / (1 - prevalence)
    ppv, ppv_ci95 = _share(odds, accuracy.positive_likelihood_ratio)
    present, present_ci95 = _share(odds, accuracy.negative_likelihood_ratio)
    return PredictiveValues(
        prevalence=prevalence,
        ppv=ppv,
        ppv_ci95=ppv_ci95,
        npv=None if present is None else 1 - present,
        npv_ci95=present_ci95 and (1 - present_ci95[1], 1 - present_ci95[0]),
    )


def _share(odds: float, ratio: LikelihoodRatio | None) -> tuple[float | None, Interval | None]:
    """Return the share of positive images after a prediction, and its interval."""
    if ratio is None:
        return None, None
    value, low, high = (
        odds * factor / (1 + odds * factor) for factor in (ratio.value, *(ratio.ci95 or (0, 0)))
    )
    return value, (low, high) if ratio.ci95 else None
