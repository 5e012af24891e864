"""Where an image lies in the square input of a network, and the way back for boxes."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from headstart.arrays import Corners
from headstart.data.preprocessing import Preprocess


@dataclass(frozen=True)
class Placement:
    """The position of an image in the input of a network.

    Attributes:
        width: Width of the image as it is seen, in pixels.
        height: Height of the image as it is seen, in pixels.
        scale: Pixels of the input for a pixel of the image, across and down.
        offset: The image's left and top edge in the input, in pixels.
    """

    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of(
        cls, preprocess: Preprocess, size: tuple[int, int], decoded: tuple[int, int] | None = None
    ) -> Self:
        """Return where `Preprocess.pixels` places an image that it squashes or pads.

        Args:
            preprocess: The preprocessing.
            size: Width and height of the image as it is seen.
            decoded: Width and height that it was decoded at, if its scale was reduced.
        """
        decoded = decoded or size
        left, top, across, down = preprocess.placed(*decoded)
        # A JPEG at 1/8 of its scale has pixels for whole blocks of 8, beyond its right edge too.
        width, height = (
            2 ** round(math.log2(whole / part)) * part
            for whole, part in zip(size, decoded, strict=True)
        )
        # Of an image that is a thousand times as long as wide, nothing is left in the input.
        return cls(*size, scale=(max(across, 1) / width, max(down, 1) / height), offset=(left, top))

    def to_input(self, corners: Corners) -> Corners:
        """Return boxes of the image, (boxes, 4), in pixels of the input."""
        scale, offset = np.tile(self.scale, 2), np.tile(self.offset, 2)
        placed: Corners = (corners * scale + offset).astype(np.float32)
        return placed

    def to_image(self, corners: Corners) -> Corners:
        """Return boxes in the input, (boxes, 4), in pixels of the image, cut at its edges."""
        scale, offset = np.tile(self.scale, 2), np.tile(self.offset, 2)
        sides = np.tile([self.width, self.height], 2)
        cut: Corners = np.clip((corners - offset) / scale, 0, sides).astype(np.float32)
        return cut
