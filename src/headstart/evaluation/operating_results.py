"""Measure the predictions of a label at its operating point."""

from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.diagnostic_accuracy import (
    LikelihoodRatio,
    PredictiveValues,
    at_prevalence,
    measure_at_threshold,
)
from headstart.evaluation.measuring import Measurement
from headstart.record import MetricValue, OperatingResult


def operating_result(
    name: str,
    probabilities: Numbers,
    positive: Flags,
    *,
    purpose: str,
    threshold: float,
    shortfall: str = "",
    groups: Rows | None = None,
    prevalence: float | None = None,
) -> OperatingResult:
    """Measure predictions at a threshold, and at a stated prevalence.

    Args:
        name: The label.
        probabilities: Its probability for the images in which it is known, (images,).
        positive: Which of them have it, (images,).
        purpose: What the threshold was chosen for.
        threshold: The label is predicted if its probability is at least this.
        shortfall: Why the purpose is not reached; "" if it is.
        groups: The number of each image's group, (images,); None if images are independent.
        prevalence: The share of positive images where the model is used, above 0 and below 1.

    Raises:
        OptionError: The prevalence is out of range.
    """
    found = measure_at_threshold(probabilities, positive, threshold, groups)
    stated = None if prevalence is None else at_prevalence(found, prevalence)
    ppv, npv = _at_prevalence(stated)
    return OperatingResult(
        name=name,
        purpose=purpose,
        threshold=threshold,
        shortfall=shortfall,
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        sensitivity=_metric(found.sensitivity),
        specificity=_metric(found.specificity),
        ppv=_metric(found.ppv),
        npv=_metric(found.npv),
        positive_ratio=_ratio(found.positive_likelihood_ratio),
        negative_ratio=_ratio(found.negative_likelihood_ratio),
        prevalence=prevalence,
        ppv_at_prevalence=ppv,
        npv_at_prevalence=npv,
    )


def _metric(measured: Measurement) -> MetricValue:
    return MetricValue(measured.value, measured.ci95, measured.method if measured.ci95 else None)


def _ratio(ratio: LikelihoodRatio | None) -> MetricValue:
    return MetricValue(ratio.value, ratio.ci95) if ratio else MetricValue(None)


def _at_prevalence(values: PredictiveValues | None) -> tuple[MetricValue | None, ...]:
    if values is None:
        return None, None
    return MetricValue(values.ppv, values.ppv_ci95), MetricValue(values.npv, values.npv_ci95)
