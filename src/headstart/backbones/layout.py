"""The meaning of each column of the features, and the shape of maps."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from headstart.arrays import Floats
from headstart.errors import OptionError

SMALL = "small."
"""The beginning of the names of the smaller scale's blocks."""

Reads = Literal["stages", "last", "map"]


class MapShape(NamedTuple):
    """The shape of a map.

    Attributes:
        channels: Values at each position.
        side: Positions across and down.
    """

    channels: int
    side: int

    @property
    def values(self) -> int:
        """The number of values of the map of one image."""
        return self.channels * self.side**2


@dataclass(frozen=True)
class FeatureLayout:
    """The meaning of each column of the features.

    Attributes:
        blocks: Name and width of each block of columns, in order. The first is "output", the pooled
            output of the last layer; the others are "stage2.mean", "stage2.max", "stage2.std" and
            so on. With two scales, the same blocks of the smaller image follow, "small.output" and
            so on. With "map" features there is a single block, "map".
    """

    blocks: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(width for _, width in self.blocks)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The features that `columns` knows."""
        if self.blocks[0][0] == "map":
            return ("flatten",)
        if len(self.blocks) == 1:
            return ("last",)
        scales = any(map(_is_small, self.blocks))
        return ("last", "multilevel", "scales") if scales else ("last", "multilevel")

    def weights(self) -> Floats:
        """Return the weight of each column, shape (width,).

        An early stage has few channels, which would be outweighed by the thousand of the last
        layer. The weight is the inverse fourth root of the block's width, a compromise between
        equal columns and equal blocks. It had the lowest held-out log loss on five of five training
        sets (see docs/decisions).
        """
        return np.concatenate(
            [np.full(width, width**-0.25, dtype=np.float32) for _, width in self.blocks]
        )

    def columns(self, features: str) -> slice:
        """Return the columns of "last", "multilevel" or "flatten" features, or of both scales.

        Each kind begins with the columns of the kinds before it.

        Raises:
            OptionError: There are no such features.
        """
        if features not in self.kinds:
            raise OptionError(f"features must be {' or '.join(self.kinds)}. Got '{features}'.")
        if features == "last":
            return slice(0, self.blocks[0][1])
        blocks = self.blocks if features == "scales" else self._large_blocks()
        return slice(0, sum(width for _, width in blocks))

    def _large_blocks(self) -> list[tuple[str, int]]:
        return [block for block in self.blocks if not _is_small(block)]


def _is_small(block: tuple[str, int]) -> bool:
    return block[0].startswith(SMALL)
