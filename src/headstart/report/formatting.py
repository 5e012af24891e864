"""How numbers are written in the report: filters of its templates."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOT_MEASURED = "\u2013"


def _is_measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _tenths(fraction: float) -> str:
    """Write a percentage that says 0.0 or 100.0 only where nothing was rounded away."""
    text = f"{100 * fraction:.1f}"
    if text == "100.0" and fraction < 1 - 1e-9:
        return "> 99.9"
    if text == "0.0" and fraction > 1e-9:
        return "< 0.1"
    return text


def percent(fraction: float | None) -> str:
    """Write a share of 1 as a percentage with one decimal."""
    if fraction is None or math.isnan(fraction):
        return NOT_MEASURED
    return f"{_tenths(fraction)} %".replace(" ", "\u00a0")


def interval(bounds: Sequence[float] | None) -> str:
    """Write the bounds of a share as percentages."""
    if bounds is None or not all(map(_is_measured, bounds)):
        return NOT_MEASURED
    low, high = map(_tenths, bounds)
    return f"{low} to {high} %".replace(" ", "\u00a0")


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed number of decimals."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    return f"{value:,.{digits}f}"


def signed(difference: float) -> str:
    """Write a difference in points with its sign, '+1.2', the minus as wide as the plus."""
    return f"{100 * difference:+.1f}".replace("-", "\u2212")


def size(content: int) -> str:
    """Write a number of bytes in megabytes or gigabytes."""
    unit, divisor = ("GB", 1e9) if content >= 1e9 else ("MB", 1e6)
    return f"{content / divisor:,.1f}\u00a0{unit}"


def count(number: int, singular: str = "", plural: str = "") -> str:
    """Write 1968 as '1,968', or with its noun: '1 image', '1,968 images'."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}" if singular else f"{number:,}"


def position(fraction: float) -> str:
    """Write a CSS length along a track that runs from 0 to 1."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"
