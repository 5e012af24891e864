"""The probability from which boxes of a class are predicted, chosen on held-out images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Numbers
from headstart.errors import OptionError
from headstart.evaluation.boxes.class_matches import ClassMatches
from headstart.evaluation.operating_points import (
    DEFAULT_PURPOSE,
    AtLeast,
    HighestF1,
    parse_operating_point,
)

FALLBACK = 0.5
"""The threshold of a class that nothing can be chosen for."""

_ALLOWED = "precision=0.9, recall=0.95 (any value above 0 and below 1) or f1"


@dataclass(frozen=True)
class HighestPrecision:
    """A precision that must be reached, with the recall as high as possible."""

    rate: float

    def __str__(self) -> str:
        return f"precision={self.rate:g}"


@dataclass(frozen=True)
class HighestRecall:
    """A recall that must be reached, with the precision as high as possible."""

    rate: float

    def __str__(self) -> str:
        return f"recall={self.rate:g}"


BoxPurpose = HighestF1 | HighestPrecision | HighestRecall
"""What the thresholds of boxes are chosen for. Its text is parsed by `parse_purpose`."""


def parse_purpose(text: str | None) -> BoxPurpose:
    """Parse a purpose: `f1`, `precision=0.9` or `recall=0.95`; f1 by default.

    Raises:
        OptionError: An unknown name, one that boxes do not have, or a value out of range.
    """
    match parse_operating_point(text or DEFAULT_PURPOSE):
        case AtLeast("ppv", rate):
            return HighestPrecision(rate)
        case AtLeast("sensitivity", rate):
            return HighestRecall(rate)
        case HighestF1() as point:
            return point
    raise OptionError(
        f"operating_point cannot be '{text}' for boxes, which have no true negatives. "
        f"Use {_ALLOWED}."
    )


def choose_thresholds(
    matches: Sequence[ClassMatches], classes: Sequence[str], purpose: str | None = None
) -> Thresholds:
    """Choose the threshold of each class on images that the model has not been trained on.

    For F1, the threshold with the highest F1 at IoU 0.5; for a precision, the lowest threshold
    that reaches it; for a recall, the highest one.

    Args:
        matches: The detections of each class in these images.
        classes: The names of the classes.
        purpose: What the thresholds are for, such as "precision=0.9"; None for the highest F1.

    Returns:
        The thresholds; a class without right detections has 0.5, and a note that says so.

    Raises:
        OptionError: The purpose is unknown.
    """
    point = parse_purpose(purpose)
    chosen = [_choose(point, each, name) for each, name in zip(matches, classes, strict=True)]
    values, notes = zip(*chosen, strict=True) if chosen else ((), ())
    return Thresholds(str(point), values, notes)


@dataclass(frozen=True, eq=False)
class Cuts:
    """What each threshold gives at IoU 0.5.

    Attributes:
        values: The distinct probabilities of detections that count, highest first, shape (cuts,).
        hits: The number of right detections that are at least as probable, shape (cuts,).
        false_alarms: The number of wrong ones, shape (cuts,).
    """

    values: Numbers
    hits: Numbers
    false_alarms: Numbers

    @property
    def precision(self) -> Numbers:
        """The share of right detections, shape (cuts,)."""
        return np.asarray(self.hits / (self.hits + self.false_alarms))


def cuts(matches: Sequence[ClassMatches]) -> Cuts:
    """Return what each threshold gives, if it is the same for all of these classes."""
    scores = np.concatenate([np.zeros(0), *(each.scores for each in matches)])
    nothing = np.zeros(0, np.bool_)
    hits = np.concatenate([nothing, *(each.hits() for each in matches)])
    wrong = np.concatenate([nothing, *(each.false_alarms() for each in matches)])
    counted = hits | wrong
    order = np.argsort(-scores[counted], kind="stable")
    values, hits = scores[counted][order], hits[counted][order]
    last = np.flatnonzero(np.diff(values, append=-np.inf))
    right = np.cumsum(hits)[last].astype(np.float64)
    return Cuts(values[last], right, last + 1 - right)


def _choose(point: BoxPurpose, matches: ClassMatches, name: str) -> tuple[float, str]:
    """Return the threshold of a class, and why it does not reach its purpose; "" if it does."""
    at, boxes = cuts([matches]), matches.total
    if not boxes:
        return FALLBACK, f"No held-out image has a box of '{name}', so its threshold is {FALLBACK}."
    if not len(at.values) or not at.hits[-1]:
        return FALLBACK, (
            f"No held-out detection of '{name}' is right, so its threshold is {FALLBACK}."
        )
    match point:
        case HighestPrecision(rate):
            return _for_precision(point, at, rate, name)
        case HighestRecall(rate):
            return _for_recall(point, at, rate, boxes, name)
        case HighestF1():
            f1 = 2 * at.hits / (at.hits + at.false_alarms + boxes)
            return float(at.values[f1.argmax()]), ""


def _for_precision(point: BoxPurpose, at: Cuts, rate: float, name: str) -> tuple[float, str]:
    enough = np.flatnonzero(at.precision >= rate)
    if len(enough):
        return float(at.values[enough[-1]]), ""
    highest = float(at.precision.max())
    best = np.flatnonzero(at.precision == highest)[-1]
    return float(at.values[best]), (
        f"No threshold of '{name}' reaches {point} on the held-out images. The threshold has the "
        f"highest precision, {highest:.3f}."
    )


def _for_recall(
    point: BoxPurpose, at: Cuts, rate: float, boxes: int, name: str
) -> tuple[float, str]:
    # 1e-9: 0.9 of 50 boxes are 45, not 46.
    enough = np.flatnonzero(at.hits >= rate * boxes - 1e-9)
    if len(enough):
        return float(at.values[enough[0]]), ""
    last = int(np.searchsorted(at.hits, at.hits[-1]))
    return float(at.values[last]), (
        f"No threshold of '{name}' reaches {point} on the held-out images. The threshold finds "
        f"as many of their {boxes:,} boxes as any: {int(at.hits[-1]):,}."
    )
