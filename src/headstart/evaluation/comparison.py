"""Compare two models on the same held-out images, with the uncertainty of the difference."""

from dataclasses import dataclass
from math import sqrt

from headstart.arrays import Flags, Numbers, Probabilities, Scores, Targets, Temperature
from headstart.evaluation.intervals import paired_difference
from headstart.record import Interval
from headstart.task import Task


@dataclass(frozen=True)
class HeldOutResult:
    """A model's performance on held-out images.

    Attributes:
        log_loss: Mean, after calibration.
        accuracy: Share of images that were predicted correctly.
        temperature: Divisor of the scores that calibrates the model.
        losses: Log loss of each image.
        correct: Which images were predicted correctly.
        probabilities: Their calibrated probabilities, (images, classes).
    """

    log_loss: float
    accuracy: float
    temperature: Temperature
    losses: Numbers
    correct: Flags
    probabilities: Probabilities


def measure_held_out(scores: Scores, targets: Targets, task: Task) -> HeldOutResult:
    """Measure scores of held-out images, shape (images, classes), after calibrating them."""
    temperature = task.temperature(scores, targets)
    probabilities = task.probabilities(scores, temperature)
    losses, correct = task.losses(probabilities, targets), task.correct(scores, targets)
    mean_loss, accuracy = float(losses.mean()), float(correct.mean())
    return HeldOutResult(mean_loss, accuracy, temperature, losses, correct, probabilities)


def loss_gain(new: HeldOutResult, old: HeldOutResult) -> float:
    """Return how much lower the new model's log loss is, in standard errors of the difference.

    Both were measured on the same images, so the standard error is that of the paired differences.
    The gain is 0 if there are fewer than two images, or if all differences are equal.
    """
    gain = old.losses - new.losses
    if len(gain) < 2:
        return 0.0
    error = float(gain.std(ddof=1)) / sqrt(len(gain))
    return float(gain.mean()) / error if error else 0.0


def beats(new: HeldOutResult, old: HeldOutResult) -> bool:
    """Return whether the new model's log loss is lower and its accuracy at least as high.

    There is no margin: missing a better model costs as much as keeping a worse one, and a few
    hundred images cannot confirm a gain of a point or two. `loss_gain` measures the
    uncertainty.
    """
    return loss_gain(new, old) > 0 and new.accuracy >= old.accuracy


def accuracy_gain(new: HeldOutResult, old: HeldOutResult) -> Interval:
    """Return the 95% interval of the new model's accuracy minus the old model's."""
    return paired_difference(new.correct, old.correct)
