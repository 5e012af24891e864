"""Abstention: how confident a prediction must be for a wished error rate (selective prediction).

See Geifman and El-Yaniv, "Selective classification for deep neural networks" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.evaluation.calibration_set import CalibrationSet


@dataclass(frozen=True)
class Abstention:
    """When a model answers.

    Attributes:
        confidence: The smallest probability of the predicted class with which it answers.
        answered: The share of held-out images that it answers, 0 to 1.
        error: The share of these that are wrong.
    """

    confidence: float
    answered: float
    error: float


def abstain_for(calibration: CalibrationSet, max_error: float) -> Abstention | None:
    """Choose the confidence at which as many images as possible are answered.

    Errors are counted as one more than there are, so that a wish that the held-out images cannot
    confirm, such as 0.1% of 200, is not granted.

    Args:
        calibration: Held-out predictions.
        max_error: The largest share of wrong answers, above 0 and below 1.

    Returns:
        The choice; None if there is no confidence with so few errors.
    """
    order = np.argsort(-calibration.confidence, kind="stable")
    confidence = calibration.confidence[order]
    errors = np.cumsum(~calibration.correct[order])
    answered = np.arange(1, len(order) + 1)
    last_of_its_confidence = np.append(confidence[1:] < confidence[:-1], True)
    fine = np.flatnonzero(((errors + 1) / (answered + 1) <= max_error) & last_of_its_confidence)
    if not len(fine):
        return None
    last = int(fine[-1])
    share = answered[last] / len(order)
    return Abstention(float(confidence[last]), float(share), float(errors[last] / answered[last]))


def lowest_error(calibration: CalibrationSet) -> float:
    """Return the lowest `max_error` that `abstain_for` grants, 0 to 1."""
    order = np.argsort(-calibration.confidence, kind="stable")
    errors = np.cumsum(~calibration.correct[order])
    shares = (errors + 1) / (np.arange(len(order)) + 2)
    # Rounded up, so that the printed value is granted.
    return float(np.ceil(shares.min() * 10_000) / 10_000) if len(order) else 1.0
