"""Axes of the report's plots: positions of values, and round tick labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_INTERVALS = 4
_EPSILON = 1e-12
"""Differences below this are rounding errors, for which there is no round step."""

_MIN_TICKS = 2
"""A logarithmic axis with fewer ticks cannot be read."""


@dataclass(frozen=True)
class Tick:
    """A grid line: its position in the units of the plot, and its label."""

    position: float
    label: str


@dataclass(frozen=True)
class LinearAxis:
    """A linear scale whose bounds and levels are round numbers."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], *, maximum: float = math.inf) -> Self:
        """Create an axis that contains values between 0 and `maximum`."""
        values = list(values)
        low, high = min(values), max(values)
        if high - low <= max(1e-9 * high, _EPSILON):  # Centre a flat curve.
            margin = 0.1 * high if high > _EPSILON else 1.0
            low, high = max(0.0, low - margin), min(maximum, high + margin)
        step = round_step((high - low) / _INTERVALS)
        return cls(math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step, step)

    @property
    def levels(self) -> list[float]:
        """The values of the grid lines."""
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * number for number in range(count + 1)]

    def fraction(self, value: float) -> float:
        """Return the position of a value, 0 at the low end and 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic scale with a margin on both sides."""

    left: float
    right: float

    @classmethod
    def around(cls, values: Iterable[float]) -> Self:
        """Create an axis that contains positive values and at least two ticks."""
        logarithms = [math.log10(value) for value in values]
        left, right = min(logarithms) - 0.15, max(logarithms) + 0.15
        while sum(left <= math.log10(number) <= right for number in _round_numbers()) < _MIN_TICKS:
            left, right = left - 0.05, right + 0.05
        return cls(left, right)

    def ticks(self, length: float) -> list[Tick]:
        """Return a tick for each round number on an axis of this length."""
        ticks = [Tick(length * self.fraction(number), f"{number:g}") for number in _round_numbers()]
        return [tick for tick in ticks if 0 <= tick.position <= length]

    def fraction(self, value: float) -> float:
        """Return the position of a value, 0 at the left end and 1 at the right end."""
        return (math.log10(value) - self.left) / (self.right - self.left)


def round_step(least: float) -> float:
    """Return the smallest number of the form 1, 2 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _round_numbers() -> list[float]:
    return [factor * 10.0**power for power in range(-2, 5) for factor in (1, 2, 5)]
