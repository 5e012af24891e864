"""Number formats of the report, as filters for its templates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.record.operating import times as times

NOT_MEASURED = "\u2013"


def _is_measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _tenths(fraction: float) -> str:
    """Format a percentage such that 0.0 and 100.0 appear only if they are exact."""
    text = f"{100 * fraction:.1f}"
    if text == "100.0" and fraction < 1 - 1e-9:
        return "> 99.9"
    if text == "0.0" and fraction > 1e-9:
        return "< 0.1"
    return text


def percent(fraction: float | None) -> str:
    """Format a fraction as a percentage with one decimal."""
    if fraction is None or math.isnan(fraction):
        return NOT_MEASURED
    return f"{_tenths(fraction)}%".replace(" ", "\u00a0")


def interval(bounds: Sequence[float] | None) -> str:
    """Format the bounds of a fraction as percentages."""
    if bounds is None or not all(map(_is_measured, bounds)):
        return NOT_MEASURED
    low, high = map(_tenths, bounds)
    return f"{low} to {high}%".replace(" ", "\u00a0")


def decimal(value: float | None, digits: int = 3) -> str:
    """Format a number with a fixed number of decimals."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    return f"{value:,.{digits}f}"


def signed(difference: float) -> str:
    """Format a difference in percentage points with its sign, such as '+1.2'."""
    return f"{100 * difference:+.1f}".replace("-", "\u2212")


def size(bytes_: int) -> str:
    """Format a number of bytes in megabytes or gigabytes."""
    unit, divisor = ("GB", 1e9) if bytes_ >= 1e9 else ("MB", 1e6)
    return f"{bytes_ / divisor:,.1f}\u00a0{unit}"


def part(specification: str) -> str:
    """Describe a part of a network, such as 'the last 2 stages of the network' for "stages:2"."""
    if specification == "all":
        return "the whole network"
    kind, separator, number = specification.partition(":")
    if not separator:
        return specification
    return (
        f"the last {kind.removesuffix('s') if number == '1' else f'{number} {kind}'} of the network"
    )


def count(number: int, singular: str = "", plural: str = "") -> str:
    """Format a number, such as '1,968', or a count with its noun, such as '1 image'."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}" if singular else f"{number:,}"


def position(fraction: float) -> str:
    """Format a fraction as a CSS percentage, clipped to 0 to 100%."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"
