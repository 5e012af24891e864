"""The plot of backbones: accuracy against speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.record import BackboneTrial
from headstart.report.axes import LinearAxis, LogAxis, Tick

_SIDE = 100.0
"""The width and height of the plot. The y axis points down."""


@dataclass(frozen=True)
class Dot:
    """A backbone in the plot: its position, and the interval of its accuracy."""

    name: str
    x: float
    y: float
    low: float
    high: float
    on_front: bool


@dataclass(frozen=True)
class BackbonePlot:
    """The plot of accuracy against speed."""

    accuracy_ticks: list[Tick]
    speed_ticks: list[Tick]
    dots: list[Dot]


def plot_backbones(trials: Sequence[BackboneTrial]) -> BackbonePlot:
    """Plot accuracy (linear axis) against images per second (logarithmic axis)."""
    bounds = [bound for trial in trials for bound in trial.accuracy_ci95]
    accuracy_axis = LinearAxis.around(bounds, maximum=1.0)
    speed_axis = LogAxis.around(trial.images_per_second for trial in trials)

    def y_position(accuracy: float) -> float:
        return _SIDE * (1 - accuracy_axis.fraction(accuracy))

    dots = [
        Dot(
            trial.name if trial.weights == "imagenet" else f"{trial.name} ({trial.weights})",
            _SIDE * speed_axis.fraction(trial.images_per_second),
            y_position(trial.accuracy),
            y_position(trial.accuracy_ci95[0]),
            y_position(trial.accuracy_ci95[1]),
            trial.on_front,
        )
        for trial in sorted(trials, key=lambda trial: trial.images_per_second)
    ]
    ticks = [Tick(y_position(level), f"{100 * level:.3g}") for level in accuracy_axis.levels]
    return BackbonePlot(ticks, speed_axis.ticks(_SIDE), dots)
