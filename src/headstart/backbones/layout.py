"""What each column of the features is."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.arrays import Floats
from headstart.errors import OptionError

Reads = Literal["stages", "last", "map"]


@dataclass(frozen=True)
class FeatureLayout:
    """What each column of the features is.

    Attributes:
        blocks: Name and width of each block in order. The first is "output", the pooled output
            of the last layer; the others are "stage2.mean", "stage2.max", "stage2.std" and so on.
    """

    blocks: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(width for _, width in self.blocks)

    def weights(self) -> Floats:
        """Return how much each column should count, shape (width,).

        An early stage has few channels, and would drown among a thousand of the last layer. The
        fourth root of a block's width, neither all columns alike nor all blocks alike, gave the
        lowest held-out log loss on five of five training sets (see docs/decisions).
        """
        return np.concatenate(
            [np.full(width, width**-0.25, dtype=np.float32) for _, width in self.blocks]
        )

    def columns(self, features: str) -> slice:
        """Return the columns of "last" or "multilevel", or of "flatten"."""
        widths = {"last": self.blocks[0][1], "multilevel": self.width}
        if self.blocks[0][0] == "map":
            widths = {"flatten": self.width}
        if features not in widths:
            raise OptionError(f"features must be {' or '.join(widths)}. Got '{features}'.")
        return slice(0, widths[features])
