"""Abstention: how confident a prediction must be for a wished error rate.

Selection with guaranteed risk (Geifman and El-Yaniv, "Selective classification for deep neural
networks", 2017): a binary search over confidences, each with an exact upper bound of its errors,
and a correction for their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from headstart.arrays import Numbers
from headstart.evaluation.calibration_set import CalibrationSet

RISK = 0.1
"""The probability that errors are more frequent than what was asked for."""

_LISTED = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Abstention:
    """When a model answers.

    Attributes:
        confidence: The smallest probability of the predicted class with which it answers, as exact
            as a calibration set.
        answered: The share of held-out images that it answers, 0 to 1.
        error: The share of these that are wrong.
    """

    confidence: float
    answered: float
    error: float

    def answers(self, probabilities: Numbers) -> bool:
        """Return whether the model answers, given the probabilities of an image, (classes,)."""
        return bool(np.float32(probabilities.max()) >= self.confidence)


def abstain_for(calibration: CalibrationSet, max_error: float) -> Abstention | None:
    """Choose the confidence at which as many images as possible are answered.

    Args:
        calibration: Held-out predictions.
        max_error: The largest share of wrong answers, above 0 and below 1.

    Returns:
        The choice, whose errors are more frequent with a probability of at most `RISK`; None if
        the held-out images support no confidence.
    """
    from scipy.stats import binom  # Most predictions do not need it, and it is slow to import.

    confidences = np.sort(calibration.confidence)[::-1]
    steps = max(1, ceil(log2(len(confidences))))
    fewest, most, found = 0, len(confidences), None
    for _ in range(steps):
        confidence = float(confidences[ceil((fewest + most) / 2) - 1])
        answered = calibration.confidence >= confidence
        count, wrong = int(answered.sum()), int((~calibration.correct[answered]).sum())
        if binom.cdf(wrong, count, max_error) <= RISK / steps:
            found = Abstention(confidence, count / len(confidences), wrong / count)
            fewest = ceil((fewest + most) / 2)
        else:
            most = ceil((fewest + most) / 2)
    return found


def lowest_error(calibration: CalibrationSet) -> float | None:
    """Return a round `max_error` that the held-out images support, the lowest; None if none is."""
    return next((share for share in _LISTED if abstain_for(calibration, share)), None)
