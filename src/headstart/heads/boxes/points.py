"""The points of a pyramid, and the boxes that are predicted at them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The largest logarithm of a distance; e^6 = 403 steps are more than any map has.
_LARGEST = 6.0


@dataclass(frozen=True, eq=False)
class Points:
    """The points of all levels of a pyramid.

    Attributes:
        centres: x and y of each point in pixels of the input, shape (points, 2).
        steps: The distance in pixels to the next point of its level, shape (points, 1).
    """

    centres: Tensor
    steps: Tensor

    @classmethod
    def of(cls, levels: Sequence[int], size: int) -> "Points":
        """Return the points, level by level and row by row.

        Args:
            levels: Positions across and down of each level.
            size: The side of the input, in pixels.
        """
        centres, steps = [], []
        for side in levels:
            step = size / side
            ahead = (torch.arange(side) + 0.5) * step
            y, x = torch.meshgrid(ahead, ahead, indexing="ij")
            centres.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
            steps.append(torch.full((side * side, 1), step))
        return cls(torch.cat(centres), torch.cat(steps))

    def __len__(self) -> int:
        return len(self.centres)

    def corners(self, reach: Tensor) -> Tensor:
        """Return the boxes in pixels of the input, (…, points, 4).

        Args:
            reach: Logarithms of the distances from each point to the four edges of its box, in
                steps, (…, points, 4).
        """
        distance = reach.clamp(max=_LARGEST).exp() * self.steps
        return torch.cat(
            [self.centres - distance[..., :2], self.centres + distance[..., 2:]], dim=-1
        )
