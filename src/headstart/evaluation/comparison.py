"""Whether one model is better than another on the same images, by more than noise."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from headstart.data.splits import Rows
from headstart.evaluation.calibration import fit_temperature, probabilities
from headstart.evaluation.metrics import Interval, Probabilities
from headstart.evaluation.recommendation import difference
from headstart.heads.fitted import Array

_Z95_ONE_SIDED = 1.644854


@dataclass(frozen=True)
class Rival:
    """A model on images that it did not learn from.

    Attributes:
        log_loss: Mean, at its own temperature.
        accuracy: Share that was told right.
        temperature: Divisor of scores that calibrates it.
        losses: Of each image.
        right: Which images it told right.
    """

    log_loss: float
    accuracy: float
    temperature: float
    losses: Probabilities
    right: np.ndarray[tuple[int], np.dtype[np.bool_]]


def rival(logits: Array, labels: Rows) -> Rival:
    """Judge scores, shape (images, classes), against class numbers."""
    temperature = fit_temperature(logits, labels)
    told = probabilities(logits, temperature)
    losses = -np.log(np.maximum(told[np.arange(len(labels)), labels], 1e-12))
    right = logits.argmax(axis=1) == labels
    return Rival(float(losses.mean()), float(right.mean()), temperature, losses, right)


def surely_better(one: Rival, other: Rival) -> bool:
    """Tell whether a model's log loss is lower by more than noise, and its accuracy no lower.

    A paired one-sided test at 95 %: both were judged on the same images.
    """
    gain = other.losses - one.losses
    if len(gain) < 2:
        return False
    error = float(gain.std(ddof=1)) / sqrt(len(gain))
    surely = float(gain.mean()) > _Z95_ONE_SIDED * error
    return surely and one.accuracy >= other.accuracy


def accuracy_gain(one: Rival, other: Rival) -> Interval:
    """Give the 95 % interval of the first one's accuracy minus the other's."""
    return difference(one.right, other.right)
