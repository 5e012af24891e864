"""The drawings of a fine-tuning: what was measured after each epoch, in the units of a drawing.

As everywhere in the report, nothing is computed about the model: values are placed and labelled.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from headstart.record import Epoch, Tuning
from headstart.report.axes import LinearAxis, Tick, round_step

WIDTH, HEIGHT = 100.0, 62.0
"""Of the area that a curve is drawn in; y points down."""

WITH_DOTS = 25
"""Up to this many epochs, each has a dot."""

_EPOCHS = 5


@dataclass(frozen=True)
class Place:
    """Where a value is drawn."""

    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """One quantity by epoch.

    Attributes:
        name: As the key calls it.
        pieces: Places in order; a new piece begins after epochs without a finite value.
    """

    name: str
    pieces: tuple[tuple[Place, ...], ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place, for its dot."""
        return tuple(place for piece in self.pieces for place in piece)


@dataclass(frozen=True)
class Panel:
    """One small drawing.

    Attributes:
        title: What is drawn, with its unit.
        description: The same in words and numbers, for screen readers.
        epochs: Marks of the x axis.
        levels: Marks of the y axis.
        curves: Those with a finite value.
        frozen: Height of the frozen model, where it is known.
        dotted: Whether there are few enough epochs to mark each.
    """

    title: str
    description: str
    epochs: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    frozen: float | None
    dotted: bool


@dataclass(frozen=True)
class Gain:
    """The difference that tuning made, and where it lies on a track from 0 to 1.

    Attributes:
        value: Accuracy of the tuned model minus that of the frozen one.
        bounds: Its 95 % interval.
        zero: Where no difference lies on the track.
        at: Where the value lies.
        band: Where the interval lies.
    """

    value: float
    bounds: tuple[float, float]
    zero: float
    at: float
    band: tuple[float, float]


@dataclass(frozen=True)
class _Quantity:
    """What a panel shows.

    Attributes:
        title: With its unit.
        keys: Where an epoch holds it, by the name of the curve.
        label: Writes a value where differences of a step matter.
        frozen: The frozen model's value, which the scale must hold too.
        base: Another one that it must hold.
        most: What it must not pass.
    """

    title: str
    keys: Mapping[str, str]
    label: Callable[[float, float], str]
    frozen: float | None = None
    base: float | None = None
    most: float = math.inf


def tuning_panels(tuning: Tuning | None) -> list[Panel]:
    """Draw loss, accuracy and learning rate by epoch; what has no finite value is left out."""
    if tuning is None or not tuning.epochs:
        return []
    losses = {"Training": "train_loss", "Held-out": "val_loss"}
    quantities = [
        _Quantity("Loss", losses, _plain),
        _Quantity(
            *("Held-out accuracy (%)", {"Tuned": "val_accuracy"}, _hundredths),
            most=1.0,
            frozen=tuning.first_probe_accuracy,
        ),
        _Quantity("Learning rate", {"Learning rate": "learning_rate"}, _scientific, base=0.0),
    ]
    panels = [_panel(quantity, tuning.epochs) for quantity in quantities]
    return [panel for panel in panels if panel]


def tuning_gain(tuning: Tuning | None) -> Gain | None:
    """Place the gain in accuracy and its interval on a track that has zero in the middle."""
    if tuning is None or tuning.gain_ci95 is None:
        return None
    if tuning.tuned_accuracy is None or tuning.probe_accuracy is None:
        return None
    low, high = tuning.gain_ci95
    value = tuning.tuned_accuracy - tuning.probe_accuracy
    if not all(map(math.isfinite, (low, high, value))):
        return None
    reach = 1.15 * max(abs(low), abs(high), abs(value), 0.005)

    def along(difference: float) -> float:
        return 0.5 + difference / (2 * reach)

    return Gain(value, (low, high), 0.5, along(value), (along(low), along(high)))


def _panel(quantity: _Quantity, epochs: Sequence[Epoch]) -> Panel | None:
    series = {
        name: [_or_nan(getattr(one, key)) for one in epochs] for name, key in quantity.keys.items()
    }
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return None
    held = [value for value in (quantity.frozen, quantity.base) if value is not None]
    axis = LinearAxis.around([*finite, *held], most=quantity.most)
    numbers = [one.epoch for one in epochs]
    curves = [Curve(name, _pieces(numbers, values, axis)) for name, values in series.items()]
    levels = [Tick(_height(level, axis), quantity.label(level, axis.step)) for level in axis.levels]
    return Panel(
        quantity.title,
        _described(quantity, series, numbers, axis.step / 10),
        _epoch_marks(numbers),
        tuple(levels),
        tuple(curve for curve in curves if curve.pieces),
        None if quantity.frozen is None else _height(quantity.frozen, axis),
        len(epochs) <= WITH_DOTS,
    )


def _pieces(
    numbers: Sequence[int], values: Sequence[float], axis: LinearAxis
) -> tuple[tuple[Place, ...], ...]:
    """Cut where there is no finite value, so that no line is drawn over a gap."""
    both = zip(numbers, values, strict=True)
    runs = groupby(both, key=lambda pair: math.isfinite(pair[1]))
    return tuple(
        tuple(Place(_along(number, numbers), _height(value, axis)) for number, value in run)
        for finite, run in runs
        if finite
    )


def _along(number: int, numbers: Sequence[int]) -> float:
    first, last = numbers[0], numbers[-1]
    return WIDTH / 2 if last == first else WIDTH * (number - first) / (last - first)


def _height(value: float, axis: LinearAxis) -> float:
    return HEIGHT * (1 - axis.fraction(value))


def _epoch_marks(numbers: Sequence[int]) -> tuple[Tick, ...]:
    """Mark the first epoch and round ones after it; epochs are whole."""
    first, last = numbers[0], numbers[-1]
    step = max(1, round(round_step((last - first) / _EPOCHS))) if last > first else 1
    rounded = range(step * math.ceil(first / step), last + 1, step)
    # Where the first is close to a round one, their labels would touch.
    shown = [first, *(number for number in rounded if number - first > step / 2)]
    return tuple(Tick(_along(number, numbers), str(number)) for number in shown)


def _described(
    quantity: _Quantity,
    series: Mapping[str, Sequence[float]],
    numbers: Sequence[int],
    step: float,
) -> str:
    """Say where each curve begins and ends."""
    said = [f"{quantity.title} by epoch, from {numbers[0]} to {numbers[-1]}."]
    for name, values in series.items():
        finite = [quantity.label(value, step) for value in values if math.isfinite(value)]
        if finite:
            said.append(f"{name}: first {finite[0]}, last {finite[-1]}.")
    if quantity.frozen is not None:
        said.append(f"Frozen model: {quantity.label(quantity.frozen, step)}.")
    return " ".join(said)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _plain(value: float, step: float) -> str:
    """Write as many decimals as the step has, so that levels are equally long."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}" if step < 1 else f"{value:g}"


def _hundredths(fraction: float, step: float) -> str:
    return _plain(100 * fraction, 100 * step)


def _scientific(value: float, step: float) -> str:
    """0.00015 as 1.5e-4, without the zero that a float's own exponent has."""
    if value < step / 100:
        return "0"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"
