"""Overlapping tiles of large images, in which small objects are large enough to be found."""

import math
from dataclasses import dataclass

_OVERLAP = 0.2
"""The least share of a tile that its neighbour shows too."""


@dataclass(frozen=True)
class Tile:
    """A part of an image, in pixels of the image as it is seen.

    Attributes:
        left: Its left edge.
        top: Its top edge.
        width: Its width.
        height: Its height.
    """

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class TileScale:
    """The scale at which a network sees tiles, and so the scale at which an image is needed.

    Attributes:
        side: The side of a tile, in pixels of the image.
        size: The side of the input that a tile fills, in pixels.
    """

    side: int
    size: int

    def of(self, size: tuple[int, int]) -> float:
        """Return how many pixels of the input one pixel of an image becomes in its tiles.

        The whole image, if it is larger than a tile, is needed at a lower scale.

        Args:
            size: Width and height of the image.
        """
        return self.size / min(self.side, max(size))


def tiles_of(size: tuple[int, int], side: int | None) -> tuple[Tile, ...]:
    """Return the whole image and, if it is larger than a tile, its tiles row by row.

    Objects that are too large for a tile are found in the whole image.

    Args:
        size: Width and height of the image.
        side: The side of a tile, in pixels; None for the whole image only.
    """
    width, height = size
    whole = Tile(0, 0, width, height)
    if side is None or max(size) <= side:
        return (whole,)
    across, down = min(side, width), min(side, height)
    tiles = [
        Tile(left, top, across, down)
        for top in _begins(height, down)
        for left in _begins(width, across)
    ]
    return (whole, *tiles)


def _begins(length: int, side: int) -> list[int]:
    """Return where tiles begin, at equal distances from the first pixel to the last."""
    count = 1 + math.ceil((length - side) / (side * (1 - _OVERLAP)))
    return [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
