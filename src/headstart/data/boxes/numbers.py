"""Numbers as annotations write them."""

import math
from collections.abc import Iterable

NAN = math.nan


def number(value: object) -> float:
    """Return a coordinate; not a number if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return NAN
    try:
        return float(value)
    except (ValueError, OverflowError):
        return NAN


def size_of(width: object, height: object) -> tuple[float, float] | None:
    """Return a declared size; None if it is missing or is 0, as some programs write."""
    size = number(width), number(height)
    return size if all(math.isfinite(side) and side > 0 for side in size) else None


def bounds(values: Iterable[float]) -> tuple[float, float, float, float] | None:
    """Return x1, y1, x2, y2 of the box around a polygon: x, y of each of its corners in turn.

    None if these are not at least three corners.
    """
    numbers = list(values)
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    across, down = numbers[::2], numbers[1::2]
    return min(across), min(down), max(across), max(down)
