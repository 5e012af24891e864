"""The plots of fine-tuning: the measurements after each epoch, in the units of a plot.

As everywhere in the report, nothing about the model is computed: values are laid out and labelled.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from headstart.record import DetectionCourse, DetectionEpoch, Epoch, Tuning
from headstart.report.axes import LinearAxis, Tick, round_step

WIDTH, HEIGHT = 100.0, 62.0
"""The size of the plotting area. The y axis points down."""

MAX_DOTS = 25
"""Curves with more epochs are drawn without dots."""

_X_INTERVALS = 5


@dataclass(frozen=True)
class Point:
    """A point of a curve."""

    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """A quantity by epoch.

    Attributes:
        name: The name in the legend.
        segments: The points in order; a new segment starts after epochs without a finite value.
    """

    name: str
    segments: tuple[tuple[Point, ...], ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of all segments."""
        return tuple(point for segment in self.segments for point in segment)


@dataclass(frozen=True)
class Panel:
    """A small plot.

    Attributes:
        title: The quantity, with its unit.
        description: The curves as text, for screen readers.
        x_ticks: Ticks of the x axis.
        y_ticks: Ticks of the y axis.
        curves: The curves that have a finite value.
        frozen: The y position of the frozen model; None if unknown.
        dotted: Whether each epoch has a dot.
    """

    title: str
    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    frozen: float | None
    dotted: bool


@dataclass(frozen=True)
class Gain:
    """The gain in accuracy, and its position on a scale from 0 to 1.

    Attributes:
        value: Accuracy of the tuned model minus accuracy of the frozen model.
        interval: Its 95% confidence interval.
        zero_position: The position of a gain of zero.
        value_position: The position of the value.
        interval_positions: The positions of the bounds of the interval.
    """

    value: float
    interval: tuple[float, float]
    zero_position: float
    value_position: float
    interval_positions: tuple[float, float]


@dataclass(frozen=True)
class _Quantity:
    """The quantity that a panel shows.

    Attributes:
        title: The name of the quantity, with its unit.
        fields: The field of `Epoch` for each curve, by the name of the curve.
        label: Formats a value, given the step between ticks.
        frozen: The value of the frozen model, which the y axis must include.
        base: Another value that the y axis must include.
        maximum: The largest possible value.
    """

    title: str
    fields: Mapping[str, str]
    label: Callable[[float, float], str]
    frozen: float | None = None
    base: float | None = None
    maximum: float = math.inf


def tuning_panels(tuning: Tuning | None) -> list[Panel]:
    """Plot loss, accuracy and learning rate by epoch, without those that have no finite value."""
    if tuning is None or not tuning.epochs:
        return []
    losses = {"Training": "train_loss", "Held-out": "val_loss"}
    quantities = [
        _Quantity("Loss", losses, _decimals),
        _Quantity(
            *("Held-out accuracy (%)", {"Tuned": "val_accuracy"}, _percentage),
            maximum=1.0,
            frozen=tuning.first_probe_accuracy,
        ),
        _Quantity("Learning rate", {"Learning rate": "learning_rate"}, _scientific, base=0.0),
    ]
    panels = [_panel(quantity, tuning.epochs) for quantity in quantities]
    return [panel for panel in panels if panel]


def detection_panels(course: DetectionCourse | None) -> list[Panel]:
    """Plot the loss and the average precision of the training of a detector by epoch."""
    if course is None or not course.history:
        return []
    precision = {"mAP50": "map50", "mAP50-95": "map"}
    quantities = [
        _Quantity("Training loss", {"Training": "train_loss"}, _decimals),
        _Quantity("On held-out images", precision, _decimals, base=0.0, maximum=1.0),
    ]
    panels = [_panel(quantity, course.history) for quantity in quantities]
    return [panel for panel in panels if panel]


def tuning_gain(tuning: Tuning | None) -> Gain | None:
    """Place the gain in accuracy and its interval on a scale with zero in the middle."""
    if tuning is None or tuning.gain_ci95 is None:
        return None
    if tuning.tuned_accuracy is None or tuning.probe_accuracy is None:
        return None
    low, high = tuning.gain_ci95
    value = tuning.tuned_accuracy - tuning.probe_accuracy
    if not all(map(math.isfinite, (low, high, value))):
        return None
    limit = 1.15 * max(abs(low), abs(high), abs(value), 0.005)

    def position(difference: float) -> float:
        return 0.5 + difference / (2 * limit)

    return Gain(value, (low, high), 0.5, position(value), (position(low), position(high)))


def _panel(quantity: _Quantity, epochs: Sequence[Epoch] | Sequence[DetectionEpoch]) -> Panel | None:
    series = {
        name: [_or_nan(getattr(epoch, field)) for epoch in epochs]
        for name, field in quantity.fields.items()
    }
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return None
    included = [value for value in (quantity.frozen, quantity.base) if value is not None]
    axis = LinearAxis.around([*finite, *included], maximum=quantity.maximum)
    numbers = [epoch.epoch for epoch in epochs]
    curves = [Curve(name, _segments(numbers, values, axis)) for name, values in series.items()]
    y_ticks = [
        Tick(_y_position(level, axis), quantity.label(level, axis.step)) for level in axis.levels
    ]
    return Panel(
        quantity.title,
        _description(quantity, series, numbers, axis.step / 10),
        _epoch_ticks(numbers),
        tuple(y_ticks),
        tuple(curve for curve in curves if curve.segments),
        None if quantity.frozen is None else _y_position(quantity.frozen, axis),
        len(epochs) <= MAX_DOTS,
    )


def _segments(
    numbers: Sequence[int], values: Sequence[float], axis: LinearAxis
) -> tuple[tuple[Point, ...], ...]:
    """Split at values that are not finite, so that no line is drawn over a gap."""
    pairs = zip(numbers, values, strict=True)
    runs = groupby(pairs, key=lambda pair: math.isfinite(pair[1]))
    return tuple(
        tuple(
            Point(_x_position(number, numbers), _y_position(value, axis)) for number, value in run
        )
        for finite, run in runs
        if finite
    )


def _x_position(number: int, numbers: Sequence[int]) -> float:
    first, last = numbers[0], numbers[-1]
    return WIDTH / 2 if last == first else WIDTH * (number - first) / (last - first)


def _y_position(value: float, axis: LinearAxis) -> float:
    return HEIGHT * (1 - axis.fraction(value))


def _epoch_ticks(numbers: Sequence[int]) -> tuple[Tick, ...]:
    """Return ticks for the first epoch and for round epochs after it."""
    first, last = numbers[0], numbers[-1]
    step = max(1, round(round_step((last - first) / _X_INTERVALS))) if last > first else 1
    rounded = range(step * math.ceil(first / step), last + 1, step)
    # Skip a round epoch close to the first one, whose labels would overlap.
    shown = [first, *(number for number in rounded if number - first > step / 2)]
    return tuple(Tick(_x_position(number, numbers), str(number)) for number in shown)


def _description(
    quantity: _Quantity,
    series: Mapping[str, Sequence[float]],
    numbers: Sequence[int],
    step: float,
) -> str:
    """Describe where each curve starts and ends."""
    sentences = [f"{quantity.title} by epoch, from {numbers[0]} to {numbers[-1]}."]
    for name, values in series.items():
        finite = [quantity.label(value, step) for value in values if math.isfinite(value)]
        if finite:
            sentences.append(f"{name}: first {finite[0]}, last {finite[-1]}.")
    if quantity.frozen is not None:
        sentences.append(f"Frozen model: {quantity.label(quantity.frozen, step)}.")
    return " ".join(sentences)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _decimals(value: float, step: float) -> str:
    """Format with as many decimals as the step has, so that all labels have the same length."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f}" if step < 1 else f"{value:g}"


def _percentage(fraction: float, step: float) -> str:
    return _decimals(100 * fraction, 100 * step)


def _scientific(value: float, step: float) -> str:
    """Format 0.00015 as 1.5e-4, without the leading zero of Python's exponents."""
    if value < step / 100:
        return "0"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"
