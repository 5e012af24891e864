"""Whether one model is better than another on the same images, and how sure that is."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from headstart.data.splits import Rows
from headstart.evaluation.calibration import fit_temperature, probabilities
from headstart.evaluation.metrics import Interval, Probabilities
from headstart.evaluation.recommendation import difference
from headstart.heads.fitted import Array


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


def loss_gain(one: Rival, other: Rival) -> float:
    """Give how much lower the first one's log loss is, in standard errors of that difference.

    Both were judged on the same images, so the difference is taken image by image. Where nothing
    can be told, for fewer than two images or the same difference at all of them, it is 0.
    """
    gain = other.losses - one.losses
    if len(gain) < 2:
        return 0.0
    error = float(gain.std(ddof=1)) / sqrt(len(gain))
    return float(gain.mean()) / error if error else 0.0


def beats(one: Rival, other: Rival) -> bool:
    """Tell whether a model's log loss is lower and its accuracy no lower.

    Not by how much: to pass a better model by costs as much as to take a worse one, and a few
    hundred images see no gain of a point or two. How sure the gain is, is told with it.
    """
    return loss_gain(one, other) > 0 and one.accuracy >= other.accuracy


def accuracy_gain(one: Rival, other: Rival) -> Interval:
    """Give the 95 % interval of the first one's accuracy minus the other's."""
    return difference(one.right, other.right)
