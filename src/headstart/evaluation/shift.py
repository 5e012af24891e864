"""What unlabelled images tell: how accurate the model is on them, and which to label first."""

from __future__ import annotations

import numpy as np

from headstart.arrays import Floats, Numbers, Probabilities, Rows
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.known_images import nearest_points
from headstart.record import Interval

_RESAMPLES = 1_000


def estimate_accuracy(
    calibration: CalibrationSet, probabilities: Probabilities, *, seed: int = 0
) -> tuple[float, Interval]:
    """Estimate the accuracy on unlabelled images by their confidence.

    Average thresholded confidence (Garg et al., 2022): the share of images whose confidence is
    above a threshold, which is chosen so that on held-out images that share is the accuracy. It
    assumes that a shift lowers confidence where it lowers accuracy.

    Args:
        calibration: Held-out predictions.
        probabilities: Calibrated probabilities of the images, (images, classes).
        seed: Seed of the bootstrap.

    Returns:
        The estimate, and its 95% interval by the bootstrap of both sets of images, which covers
        chance and not whether the assumption holds.
    """
    confidence, correct = calibration.confidence, calibration.correct
    new, draw = np.sort(probabilities.max(axis=1)), np.random.default_rng(seed)
    estimates = []
    for _ in range(_RESAMPLES):
        rows = draw.integers(0, len(confidence), len(confidence))
        share = _share_above(confidence[rows], correct[rows].mean(), new)
        estimates.append(draw.binomial(len(new), share) / len(new))
    low, high = np.quantile(estimates, [0.025, 0.975]).tolist()
    return _share_above(confidence, correct.mean(), new), (low, high)


def _share_above(confidence: Numbers, accuracy: float, new: Numbers) -> float:
    """Return the share of sorted new values above the quantile that leaves the errors below."""
    below = int(np.searchsorted(new, np.quantile(confidence, 1 - accuracy)))
    return 1 - below / len(new)


def label_first(points: Floats, uncertainty: Numbers, known: Floats, count: int) -> Rows:
    """Choose images to label: uncertain, and different from each other and from the known ones.

    Greedy: the next image is the one with the highest product of its uncertainty and its distance
    to the nearest image that is known or chosen.

    Args:
        points: The images, (images, dimensions).
        uncertainty: How little the model knows of each, 0 to 1, (images,).
        known: Images that are labelled already, (known, dimensions).
        count: How many to choose.
    """
    distances = _distances(points, known)
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        worth = distances * uncertainty
        worth[chosen] = -1
        best = int(worth.argmax())
        chosen.append(best)
        distances = np.minimum(distances, _distances(points, points[best : best + 1]))
    return np.array(chosen, dtype=np.int64)


def _distances(points: Floats, others: Floats) -> Numbers:
    """Return the distance of each point to the nearest of the others."""
    return nearest_points(points, others, 1)[0][:, 0]
