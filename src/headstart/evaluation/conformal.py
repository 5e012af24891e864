"""Conformal prediction sets: the labels that an image may have, at a chosen coverage.

Calibrated on held-out predictions of cross-validation (cross-conformal prediction, Vovk 2015) or of
a validation part (split conformal prediction). If future images are like the training images, sets
of a part that chose nothing contain the true label with the chosen probability, whatever the model
is; those of cross-validation do so in practice, as `benchmarks.limits` measures.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np

from headstart.arrays import Flags, Numbers, Probabilities
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.options import SetMethod

# A class has a threshold of its own if at least so many of its images may be outside their sets.
_MIN_OUTSIDE = 10


@dataclass(frozen=True, eq=False)
class SetRule:
    """Which labels a prediction set contains: those whose score is at most a threshold.

    The score of a label is how little the prediction agrees with it, 0 to 1:

    - "lac": 1 minus its probability (least ambiguous classifier, Sadinle et al., 2019). The sets
      are the smallest ones on average, and can be empty.
    - "aps": the total probability of all labels that are more probable, and of a random share of
      its own (adaptive prediction sets, Romano et al., 2020). Sets are large where an image is
      difficult, so that coverage depends less on the difficulty.

    Attributes:
        method: "lac" or "aps".
        thresholds: The threshold of each class, (classes,): its own quantile with enough
            calibration images (Mondrian conformal prediction), else that of all images.
    """

    method: SetMethod
    thresholds: Numbers

    @classmethod
    def of(cls, calibration: CalibrationSet, coverage: float, method: SetMethod = "lac") -> Self:
        """Calibrate a rule.

        Args:
            calibration: Held-out predictions.
            coverage: How often the set contains the true label, above 0 and below 1.
            method: How labels are scored.
        """
        rows = np.arange(len(calibration))
        scores = _scores(calibration.probabilities.astype(np.float64), method)
        scores = scores[rows, calibration.targets]
        classes = calibration.probabilities.shape[1]
        needed = _MIN_OUTSIDE / (1 - coverage)
        counts = np.bincount(calibration.targets, minlength=classes)
        common = _quantile(scores, coverage)
        thresholds = [
            _quantile(scores[calibration.targets == number], coverage)
            if counts[number] >= needed
            else common
            for number in range(classes)
        ]
        return cls(method, np.array(thresholds))

    def sets(self, probabilities: Probabilities) -> Flags:
        """Return which labels are in the set of each image, (images, classes).

        Args:
            probabilities: Calibrated probabilities, (images, classes).
        """
        # As exact as the calibration set.
        rounded = probabilities.astype(np.float32).astype(np.float64)
        flags: Flags = _scores(rounded, self.method) <= self.thresholds
        return flags


def _scores(probabilities: Probabilities, method: SetMethod) -> Numbers:
    """Return the score of each label, (images, classes)."""
    if method == "lac":
        return 1 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = ranked.cumsum(axis=1) - ranked
    scores = before + _shares(probabilities)[:, np.newaxis] * ranked
    return np.take_along_axis(scores, np.argsort(order, axis=1), axis=1)


def _shares(probabilities: Probabilities) -> Numbers:
    """Return a random number for each image, 0 to 1, the same for the same probabilities."""
    return np.array([zlib.crc32(row.tobytes()) / 2**32 for row in probabilities])


def _quantile(scores: Numbers, coverage: float) -> float:
    """Return the threshold that covers a new score with the probability `coverage`.

    With too few scores for that, every label is in the set.
    """
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")
