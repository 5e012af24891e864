"""Whether one model is better than another on the same images, and how sure that is."""

from dataclasses import dataclass
from math import sqrt

from headstart.arrays import Flags, Numbers, Scores, Targets
from headstart.evaluation.intervals import difference
from headstart.record import Interval
from headstart.task import Task


@dataclass(frozen=True)
class Rival:
    """A model on images that it did not learn from.

    Attributes:
        log_loss: Mean, at its own temperature.
        accuracy: Share that was predicted correctly.
        temperature: Divisor of scores that calibrates it.
        losses: Of each image.
        right: Which images it predicted correctly.
    """

    log_loss: float
    accuracy: float
    temperature: float
    losses: Numbers
    right: Flags


def rival(scores: Scores, targets: Targets, task: Task) -> Rival:
    """Measure scores, shape (images, classes), of images that a model did not learn from."""
    temperature = task.temperature(scores, targets)
    losses = task.losses(task.probabilities(scores, temperature), targets)
    right = task.correct(scores, targets)
    return Rival(float(losses.mean()), float(right.mean()), temperature, losses, right)


def loss_gain(one: Rival, other: Rival) -> float:
    """Return how much lower the first one's log loss is, in standard errors of that difference.

    Both were measured on the same images, so the difference is taken image by image. Where there
    is no standard error, for fewer than two images or the same difference at all of them, it is 0.
    """
    gain = other.losses - one.losses
    if len(gain) < 2:
        return 0.0
    error = float(gain.std(ddof=1)) / sqrt(len(gain))
    return float(gain.mean()) / error if error else 0.0


def beats(one: Rival, other: Rival) -> bool:
    """Return whether a model's log loss is lower and its accuracy no lower.

    Not by how much: to pass a better model by costs as much as to take a worse one, and a few
    hundred images do not show a gain of a point or two. `loss_gain` says how sure it is.
    """
    return loss_gain(one, other) > 0 and one.accuracy >= other.accuracy


def accuracy_gain(one: Rival, other: Rival) -> Interval:
    """Return the 95 % interval of the first one's accuracy minus the other's."""
    return difference(one.right, other.right)
