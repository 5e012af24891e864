"""The learning curve: how accuracy would grow with more images, overall and for each class."""

import math
from dataclasses import dataclass

# Shares of the gain that are worth naming a class for.
_MOST, _LARGEST = 0.5, 0.25
# Factors of images: hardly more than now, and those so small that a decimal matters.
_SOON, _DECIMAL_BELOW = 1.05, 3


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy of a head that learnt from some of the images.

    Attributes:
        images: The number of images learnt from, mean over the folds.
        accuracy: The share of held-out images classified correctly.
        low: The lower bound of its 90% interval.
        high: The upper bound.
    """

    images: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class PowerLaw:
    """The curve through the points: error(n) = floor + scale * (n / images) ** -exponent.

    Attributes:
        floor: The error with any number of images, 0 to 1.
        scale: The error that more images would remove, at `images`.
        exponent: How fast they remove it, above 0 and at most 1.
        images: The largest number of images learnt from.
    """

    floor: float
    scale: float
    exponent: float
    images: int

    def accuracy(self, images: float) -> float:
        """Return the accuracy of learning from a number of images, on the curve."""
        return 1 - self.floor - self.scale * math.pow(images / self.images, -self.exponent)


@dataclass(frozen=True)
class Forecast:
    """The accuracy to expect with more images of the same kind.

    Attributes:
        factor: How many times as many images, such as 2.
        images: The number of images learnt from.
        accuracy: The forecast.
        low: The lower bound of its 90% interval.
        high: The upper bound.
    """

    factor: float
    images: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Needed:
    """How many times as many images a round level of accuracy needs.

    Attributes:
        accuracy: The next round level above the current accuracy.
        low: The lower bound of the 90% interval of the factor, at least 1; None if the level is not
            within 10 times as many images.
        high: The upper bound; None as for `low`.
    """

    accuracy: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassGain:
    """What twice as many images would do for a class.

    Attributes:
        name: The class.
        recall: The share of its images that are classified correctly now.
        expected: That share with twice as many images of every class.
        share: The share of the images gained over all classes that are of this class, 0 to 1.
    """

    name: str
    recall: float
    expected: float
    share: float


@dataclass(frozen=True)
class HeldBack:
    """The largest number of images, held back, and forecast from the smaller ones.

    The interval is that of the difference from the measured accuracy, on the same held-out images,
    so it is narrower than that of a forecast for other images.

    Attributes:
        images: The largest number of images learnt from.
        forecast: The accuracy forecast from the smaller numbers.
        low: The lower bound of its 90% interval.
        high: The upper bound.
        truth: The accuracy measured.
    """

    images: int
    forecast: float
    low: float
    high: float
    truth: float

    @property
    def inside(self) -> bool:
        """Whether the accuracy measured is in the interval."""
        return self.low <= self.truth <= self.high


@dataclass(frozen=True)
class LearningCurve:
    """How accuracy grows with the number of images, measured and forecast.

    All accuracies are those of folds, whose heads learn from a part of the images: "twice as many"
    is twice as many as that part, which is what folds of twice as many images would learn from.

    Attributes:
        points: Measured, from the fewest images to the most.
        fit: The curve through the points; None if it cannot tell.
        forecasts: With 2 and with 4 times as many images; empty if it cannot tell.
        needed: For the next round level of accuracy; None above the last level.
        gains: By class, the largest share first; empty if images have several labels.
        checked: The largest number of images, forecast from the smaller ones.
        reason: Why it cannot tell, as a sentence; "" if it can.
    """

    points: tuple[CurvePoint, ...] = ()
    fit: PowerLaw | None = None
    forecasts: tuple[Forecast, ...] = ()
    needed: Needed | None = None
    gains: tuple[ClassGain, ...] = ()
    checked: HeldBack | None = None
    reason: str = ""

    @property
    def sentence(self) -> str:
        """What to expect of more images, in sentences for the user."""
        if not self.forecasts:
            return self.reason
        twice = self.forecasts[0]
        expected = (
            f"With twice as many images, accuracy on folds would probably be {twice.accuracy:.1%} "
            f"({twice.low:.1%} to {twice.high:.1%}) instead of {self.points[-1].accuracy:.1%}."
        )
        clauses = [_needed(self.needed)] if self.needed else []
        if self.gains and self.gains[0].share >= _LARGEST:
            part = "most" if self.gains[0].share > _MOST else "the largest part"
            clauses.append(f"{part} of the gain would come from '{self.gains[0].name}'")
        return " ".join(filter(None, (expected, _as_sentence(clauses), _doubt(self.checked))))


def _needed(needed: Needed) -> str:
    """Return how many images a level needs, as a clause."""
    level, low, high = f"{needed.accuracy:.0%}", needed.low, needed.high
    if low is None:
        return f"for {level}, even 10 times as many images would probably not be enough"
    soon, least = low < _SOON, _rounded(low)
    if high is None and soon:
        return f"for {level}, the present images may do, or more than 10 times as many be needed"
    if high is None:
        return f"for {level}, {least} to more than 10 times as many images are needed"
    most = _rounded(max(high, 2 * _SOON - 1))
    about = f"up to {most}" if soon else f"about {most if least == most else f'{least} to {most}'}"
    return f"for {level}, {about} times as many images are needed"


def _rounded(factor: float) -> str:
    """Format a factor, with one decimal below 3, such as "1.4"."""
    return f"{factor:.1f}".removesuffix(".0") if factor < _DECIMAL_BELOW else f"{factor:.0f}"


def _as_sentence(clauses: list[str]) -> str:
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _doubt(checked: HeldBack | None) -> str:
    """Return a warning if the curve did not forecast its own last point."""
    if checked is None or checked.inside:
        return ""
    return (
        f"Doubt this forecast: from fewer images, {checked.low:.1%} to {checked.high:.1%} was "
        f"forecast for the present ones, and {checked.truth:.1%} was measured."
    )
