"""The drawing of backbones: accuracy against images per second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.record import BackboneTrial
from headstart.report.axes import LinearAxis, LogAxis, Tick

_SIDE = 100.0
"""Of the drawing; y points down."""


@dataclass(frozen=True)
class Dot:
    """A backbone in the drawing: its place, and the bounds of its accuracy."""

    name: str
    x: float
    y: float
    low: float
    high: float
    on_front: bool


@dataclass(frozen=True)
class Field:
    """The drawing of accuracy against speed."""

    accuracies: list[Tick]
    speeds: list[Tick]
    dots: list[Dot]


def draw_backbones(trials: Sequence[BackboneTrial]) -> Field:
    """Place backbones by accuracy (linear) and images per second (logarithmic)."""
    bounds = [bound for one in trials for bound in one.accuracy_ci95]
    accuracies = LinearAxis.around(bounds, most=1.0)
    speeds = LogAxis.around(one.images_per_second for one in trials)

    def height(accuracy: float) -> float:
        return _SIDE * (1 - accuracies.fraction(accuracy))

    dots = [
        Dot(
            one.name if one.weights == "imagenet" else f"{one.name} ({one.weights})",
            _SIDE * speeds.fraction(one.images_per_second),
            height(one.accuracy),
            height(one.accuracy_ci95[0]),
            height(one.accuracy_ci95[1]),
            one.on_front,
        )
        for one in sorted(trials, key=lambda one: one.images_per_second)
    ]
    levels = [Tick(height(level), f"{100 * level:.3g}") for level in accuracies.levels]
    return Field(levels, speeds.ticks(_SIDE), dots)
