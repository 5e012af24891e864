"""Axes of the report's drawings: where values lie, and round numbers beside the grid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_LEVELS = 4
_NOTHING = 1e-12
"""Differences below this are noise of the arithmetic, and have no round steps."""

_MARKS = 2
"""The fewest marks that a logarithmic axis needs to be read."""


@dataclass(frozen=True)
class Tick:
    """A line of the grid: where it is, in the units of the drawing, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class LinearAxis:
    """A scale with round levels that holds its values."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], *, most: float = math.inf) -> Self:
        """Return the scale of values that are never negative, nor larger than `most`."""
        held = list(values)
        low, high = min(held), max(held)
        if high - low <= max(1e-9 * high, _NOTHING):  # A flat curve lies in the middle.
            spare = 0.1 * high if high > _NOTHING else 1.0
            low, high = max(0.0, low - spare), min(most, high + spare)
        step = round_step((high - low) / _LEVELS)
        return cls(math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step, step)

    @property
    def levels(self) -> list[float]:
        """The values that have a line of the grid."""
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * number for number in range(count + 1)]

    def fraction(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic scale with some room on both sides."""

    left: float
    right: float

    @classmethod
    def around(cls, values: Iterable[float]) -> Self:
        """Return the scale of positive values, wide enough for two marks."""
        logarithms = [math.log10(value) for value in values]
        left, right = min(logarithms) - 0.15, max(logarithms) + 0.15
        while sum(left <= math.log10(mark) <= right for mark in _round_numbers()) < _MARKS:
            left, right = left - 0.05, right + 0.05
        return cls(left, right)

    def ticks(self, length: float) -> list[Tick]:
        """Return a line of the grid for each round number, along so many units."""
        places = [(length * self.fraction(mark), f"{mark:g}") for mark in _round_numbers()]
        return [Tick(at, label) for at, label in places if 0 <= at <= length]

    def fraction(self, value: float) -> float:
        """Return where a value lies, 0 at the left end and 1 at the right end."""
        return (math.log10(value) - self.left) / (self.right - self.left)


def round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10 … times a power of ten that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(one * power for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))


def _round_numbers() -> list[float]:
    return [mark * 10.0**power for power in range(-2, 5) for mark in (1, 2, 5)]
