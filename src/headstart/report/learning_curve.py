"""The plot of a learning curve: accuracy against the number of images, measured and forecast."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.record.learning_curve import CurvePoint, Forecast, LearningCurve
from headstart.report.axes import LinearAxis, LogAxis, Tick

_SIDE = 100.0
"""The width and height of the plot. The y axis points down."""

_STEPS = 40


@dataclass(frozen=True)
class CurveDot:
    """A point of the plot with its interval; a forecast if it was not measured."""

    x: float
    y: float
    low: float
    high: float
    forecast: bool


@dataclass(frozen=True)
class CurvePlot:
    """The plot of a learning curve."""

    accuracy_ticks: list[Tick]
    image_ticks: list[Tick]
    dots: list[CurveDot]
    line: list[tuple[float, float]]


def plot_learning_curve(curve: LearningCurve | None) -> CurvePlot | None:
    """Plot accuracy (linear axis) against images (logarithmic axis); None if it cannot tell."""
    if curve is None or curve.fit is None:
        return None
    shown: list[CurvePoint | Forecast] = [*curve.points, *curve.forecasts]
    bounds = [bound for one in shown for bound in (one.low, one.high)]
    accuracy_axis = LinearAxis.around(bounds, maximum=1.0)
    image_axis = LogAxis.around(one.images for one in shown)

    def place(images: float, accuracy: float) -> tuple[float, float]:
        return _SIDE * image_axis.fraction(images), _SIDE * (1 - accuracy_axis.fraction(accuracy))

    dots = [
        CurveDot(
            *place(one.images, one.accuracy),
            place(one.images, one.low)[1],
            place(one.images, one.high)[1],
            isinstance(one, Forecast),
        )
        for one in shown
    ]
    first, last = shown[0].images, shown[-1].images
    sizes = [first * (last / first) ** (step / _STEPS) for step in range(_STEPS + 1)]
    line = [place(size, curve.fit.accuracy(size)) for size in sizes]
    levels = accuracy_axis.levels
    ticks = [Tick(place(first, level)[1], f"{100 * level:.3g}") for level in levels]
    return CurvePlot(ticks, image_axis.ticks(_SIDE), dots, line)
