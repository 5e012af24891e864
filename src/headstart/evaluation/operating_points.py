"""Operating points: what a threshold is chosen for, and the threshold that held-out images give.

Sensitivity is reached by the highest threshold that has it on the held-out images and whose
expected sensitivity on new images is as high. Of m positive images, a share of k / (m + 1) of new
ones is above the k-th most probable one on average, not k / m; ranks in between are interpolated.
Specificity is the same for negative images.

PPV, cost and F1 depend on the few images near the threshold, and their best threshold is rarely the
best for new images. They are computed from the probabilities, which are first calibrated on the
same images. See docs/decisions/intervals.md for how both do on new images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite
from typing import Literal, get_args

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from headstart.arrays import Flags, Numbers
from headstart.errors import DataError, OptionError, suggestion

DEFAULT_PURPOSE = "f1"
"""What the thresholds of labels are chosen for unless the user says so."""

RateName = Literal["sensitivity", "specificity", "ppv"]
"""A rate that can be required."""

_ALLOWED = (
    "sensitivity=0.95, specificity=0.9, ppv=0.8 (any value above 0 and below 1), "
    "cost=fn:10,fp:1 (costs above 0) or f1"
)
_NAMES = (*get_args(RateName), "cost", "f1")
# Beyond, probabilities of 0 and 1 would have infinite scores.
_CLOSEST = 1e-7


@dataclass(frozen=True)
class AtLeast:
    """A rate that must be reached, with the other one as high as possible.

    Attributes:
        name: "sensitivity", "specificity" or "ppv" (positive predictive value, or precision).
        rate: The required value, above 0 and below 1.
    """

    name: RateName
    rate: float

    def __str__(self) -> str:
        return f"{self.name}={self.rate:g}"


@dataclass(frozen=True)
class LeastCost:
    """The lowest expected cost of wrong predictions.

    Attributes:
        false_negative: The cost of a positive image that is missed, above 0.
        false_positive: The cost of a false alarm, above 0, in the same unit.
    """

    false_negative: float
    false_positive: float

    def __str__(self) -> str:
        return f"cost=fn:{self.false_negative:g},fp:{self.false_positive:g}"


@dataclass(frozen=True)
class HighestF1:
    """The highest F1, the harmonic mean of sensitivity and positive predictive value."""

    def __str__(self) -> str:
        return "f1"


_SYNONYMS = {"recall": "sensitivity", "precision": "ppv"}

# The lowest threshold whose PPV is within this of the highest is as good.
_NEARLY = 0.005

OperatingPoint = AtLeast | LeastCost | HighestF1
"""What a threshold is chosen for. Its text is parsed by `parse_operating_point`."""


@dataclass(frozen=True)
class ChosenThreshold:
    """The threshold for an operating point.

    Attributes:
        point: The operating point.
        threshold: An image is predicted positive if its probability is at least this; 0 to 1, or
            just above 1 if no image is predicted positive.
        shortfall: Why the operating point is not reached, in sentences; "" if it is. The threshold
            is then the nearest one.
    """

    point: OperatingPoint
    threshold: float
    shortfall: str = ""

    @property
    def reached(self) -> bool:
        """Whether the held-out images show that the threshold reaches the operating point."""
        return not self.shortfall


def parse_operating_point(text: str) -> OperatingPoint:
    """Parse an operating point: `sensitivity=0.95`, `cost=fn:10,fp:1`, `f1` and so on.

    Raises:
        OptionError: An unknown name, or a value that is missing, not a number or out of range.
    """
    name, separator, value = (part.strip() for part in text.strip().lower().partition("="))
    name = _SYNONYMS.get(name, name)
    if name == "f1" and not separator:
        return HighestF1()
    if name == "cost":
        return _parse_cost(text, value)
    for rate in get_args(RateName):
        if name == rate:
            return AtLeast(rate, _parse_rate(text, value))
    if name == "f1":
        raise _refusal(text, "f1 takes no value")
    hint = suggestion(name, _NAMES)
    raise _refusal(text, f"there is no operating point '{name}'", hint)


def choose_threshold(
    point: OperatingPoint, probabilities: Numbers, positive: Flags
) -> ChosenThreshold:
    """Choose the threshold for an operating point on held-out images.

    Sensitivity and specificity follow the ranks of images (Hyndman and Fan, 1996, type 6). The
    others follow probabilities that are calibrated on these images (Platt, 1999): the lowest
    threshold above which the mean probability is at least the PPV; the lowest expected cost (Elkan,
    2001); the highest expected F1 (Lipton, Elkan and Naryanaswamy, 2014).

    Args:
        point: What the threshold is for.
        probabilities: Probabilities of the positive class on images that the model has not been
            trained on, shape (images,).
        positive: Which images are positive, shape (images,).

    Raises:
        DataError: No image is positive, or all are.
    """
    _require_both(point, positive)
    match point:
        case AtLeast("sensitivity"):
            return _at_least(point, probabilities[positive], "positive")
        case AtLeast("specificity"):
            # A threshold that keeps a share of the negative images below it.
            found = _at_least(point, -probabilities[~positive], "negative")
            above = float(np.nextafter(-found.threshold, inf))
            return ChosenThreshold(point, above, found.shortfall)
        case AtLeast():
            return _ppv(point, probabilities, positive)
        case LeastCost():
            share = point.false_positive / (point.false_positive + point.false_negative)
            _, inverse = _calibrate(probabilities, positive)
            return ChosenThreshold(point, inverse(share))
        case HighestF1():
            return ChosenThreshold(point, _highest_f1(probabilities, positive))


def _require_both(point: OperatingPoint, positive: Flags) -> None:
    if positive.all() or not positive.any():
        raise DataError(
            f"The threshold for {point} needs held-out images with and without the label. "
            f"{'All' if positive.any() else 'None'} of {len(positive):,} images have it."
        )


def _parse_rate(text: str, value: str) -> float:
    number = _number(text, value)
    if not 0 < number < 1:
        name = text.partition("=")[0].strip()
        raise _refusal(text, f"{name} must be above 0 and below 1. Got {value}")
    return number


def _parse_cost(text: str, value: str) -> LeastCost:
    pairs = [tuple(part.strip() for part in item.partition(":")) for item in value.split(",")]
    if sorted(name for name, _, _ in pairs) != ["fn", "fp"]:
        raise _refusal(text, "cost needs the costs of both mistakes, as in fn:10,fp:1")
    costs = {name: _number(text, number) for name, _, number in pairs}
    if min(costs.values()) <= 0:
        raise _refusal(text, "costs must be above 0")
    return LeastCost(costs["fn"], costs["fp"])


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = inf
    if not isfinite(number):
        raise _refusal(text, f"'{value}' is not a number" if value else "a value is missing")
    return number


def _refusal(text: str, why: str, hint: str = "") -> OptionError:
    return OptionError(f"operating_point cannot be '{text}': {why}.{hint} Use {_ALLOWED}.")


def _at_least(point: AtLeast, probabilities: Numbers, kind: str) -> ChosenThreshold:
    """Choose the threshold that a share of images of one kind reach."""
    count, descending = len(probabilities), -np.sort(-probabilities)
    # 1e-9: 0.9 * 50 must not be rounded up to 46.
    reached = descending[ceil(point.rate * count - 1e-9) - 1]
    expected = np.quantile(probabilities, 1 - point.rate, method="weibull")
    threshold = float(min(reached, expected))
    needed = ceil(point.rate / (1 - point.rate) - 1e-9)
    shortfall = (
        f"{point} needs at least {needed:,} held-out {kind} images. There are {count:,}, so the "
        f"threshold is the {'lowest' if kind == 'positive' else 'highest'} of their probabilities."
    )
    return ChosenThreshold(point, threshold, shortfall if count < needed else "")


def _ppv(point: AtLeast, probabilities: Numbers, positive: Flags) -> ChosenThreshold:
    """Choose the lowest threshold above which the mean calibrated probability is high enough."""
    cuts, mean, _ = _above(probabilities, positive)
    enough = np.flatnonzero(mean >= point.rate)
    if len(enough):
        return ChosenThreshold(point, float(cuts[enough[-1]]))
    nearly = np.flatnonzero(mean >= mean[0] - _NEARLY)[-1]
    shortfall = (
        f"No threshold reaches {point}: the most probable held-out images are positive with a "
        f"probability of {floor(mean[0] * 1e4) / 1e4:.4f}. The threshold is the lowest with hardly "
        f"less, {floor(mean[nearly] * 1e4) / 1e4:.4f}."
    )
    return ChosenThreshold(point, float(cuts[nearly]), shortfall)


def _highest_f1(probabilities: Numbers, positive: Flags) -> float:
    cuts, mean, count = _above(probabilities, positive)
    expected = 2 * mean * count / (count + mean[-1] * count[-1])
    return float(cuts[expected.argmax()])


def _above(probabilities: Numbers, positive: Flags) -> tuple[Numbers, Numbers, Numbers]:
    """Return the distinct probabilities, highest first, and what lies above each of them.

    Returns:
        The probabilities; the mean calibrated probability of the images that are at least as
        probable; and the number of these images.
    """
    calibrate, _ = _calibrate(probabilities, positive)
    ascending, counts = np.unique(probabilities, return_counts=True)
    cuts, count = ascending[::-1], np.cumsum(counts[::-1])
    expected = np.cumsum(calibrate(cuts) * counts[::-1])
    return cuts, expected / count, count.astype(np.float64)


def _calibrate(
    probabilities: Numbers, positive: Flags
) -> tuple[Callable[[Numbers], Numbers], Callable[[float], float]]:
    """Fit calibrated = expit(slope * logit(probability) + offset), with a slope above 0.

    Returns:
        The function, and its inverse.
    """
    scores = _scores(probabilities)
    count = int(positive.sum())
    # Platt's targets: no image is certain, so that the slope stays finite.
    truth = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))

    def loss(parameters: Numbers) -> tuple[float, Numbers]:
        slope, offset = np.exp(parameters[0]), parameters[1]
        calibrated = slope * scores + offset
        excess = expit(calibrated) - truth
        value = float((np.logaddexp(0, calibrated) - truth * calibrated).mean())
        gradient = np.array([(excess * scores).mean() * slope, excess.mean()])
        return value, gradient

    start = np.array([0.0, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-10, 10), (-100, 100)])
    slope, offset = float(np.exp(found.x[0])), float(found.x[1])
    return (
        lambda values: np.asarray(expit(slope * _scores(values) + offset), np.float64),
        lambda value: float(expit((logit(value) - offset) / slope)),
    )


def _scores(probabilities: Numbers) -> Numbers:
    return np.asarray(logit(np.clip(probabilities, _CLOSEST, 1 - _CLOSEST)), np.float64)
