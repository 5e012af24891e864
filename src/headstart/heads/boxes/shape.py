"""The shape of the head of a detector, which needs no PyTorch."""

import math
from dataclasses import dataclass

from headstart.backbones.layout import MapShape


@dataclass(frozen=True)
class BoxHeadShape:
    """The shape of the head of a detector.

    Attributes:
        maps: The maps that it reads, finest first.
        classes: The number of classes.
        channels: Channels of the pyramid.
        depth: Convolutions before the classes, and before the boxes.
    """

    maps: tuple[MapShape, ...]
    classes: int
    channels: int = 64
    depth: int = 2

    @property
    def levels(self) -> tuple[int, ...]:
        """Positions across and down of each level of the pyramid, finest first.

        A transformer has maps of one resolution. Its pyramid has levels of twice and half of that,
        as in Li et al. (2022), "Exploring Plain Vision Transformer Backbones for Object Detection".
        """
        sides = tuple(shape.side for shape in self.maps)
        return (2 * sides[0], sides[0], math.ceil(sides[0] / 2)) if len(sides) == 1 else sides
