"""Where an image or a tile is in the square input of a network, and the way back for boxes."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from headstart.arrays import Corners, Flags
from headstart.data.decoding import reduction
from headstart.data.preprocessing import Preprocess
from headstart.data.tiling import Tile


@dataclass(frozen=True)
class Placement:
    """The position of an image, or of a tile of it, in the input of a network.

    Attributes:
        width: Width of the image as it is seen, in pixels.
        height: Height of the image as it is seen, in pixels.
        scale: Pixels of the input for a pixel of the image, across and down.
        offset: The image's left and top edge in the input, in pixels.
        tile: What of the image is in the input.
    """

    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[float, float]
    tile: Tile

    @classmethod
    def of(
        cls,
        preprocess: Preprocess,
        size: tuple[int, int],
        decoded: tuple[int, int] | None = None,
        begin: tuple[float, float] = (0.0, 0.0),
    ) -> Self:
        """Return where `Preprocess.pixels` places an image that it squashes or pads.

        Args:
            preprocess: The preprocessing.
            size: Width and height of the image as it is seen.
            decoded: Width and height that it was decoded at, if its scale was reduced.
            begin: Where it begins in what was decoded; see `LoadedImage`.
        """
        decoded = decoded or size
        left, top, across, down = preprocess.placed(*decoded)
        # Of an image that is a thousand times as long as wide, nothing is left in the input.
        steps = max(across, 1) / decoded[0], max(down, 1) / decoded[1]
        reduced = reduction(max(size), max(decoded))
        scale = steps[0] / reduced, steps[1] / reduced
        offset = left + begin[0] * steps[0], top + begin[1] * steps[1]
        return cls(*size, scale=scale, offset=offset, tile=Tile(0, 0, *size))

    @classmethod
    def of_tile(cls, preprocess: Preprocess, size: tuple[int, int], tile: Tile) -> Self:
        """Return where `Preprocess.pixels` places an image if it is given a tile of it.

        Args:
            preprocess: The preprocessing.
            size: Width and height of the image as it is seen.
            tile: The tile.
        """
        left, top, across, down = preprocess.placed(tile.width, tile.height)
        scale = max(across, 1) / tile.width, max(down, 1) / tile.height
        offset = left - tile.left * scale[0], top - tile.top * scale[1]
        return cls(*size, scale=scale, offset=offset, tile=tile)

    def to_input(self, corners: Corners) -> Corners:
        """Return boxes of the image, (boxes, 4), in pixels of the input."""
        scale, offset = np.tile(self.scale, 2), np.tile(self.offset, 2)
        placed: Corners = (corners * scale + offset).astype(np.float32)
        return placed

    def to_image(self, corners: Corners) -> Corners:
        """Return boxes in the input, (boxes, 4), in pixels of the image, cut at the tile."""
        scale, offset = np.tile(self.scale, 2), np.tile(self.offset, 2)
        cut: Corners = np.clip((corners - offset) / scale, self._low, self._high).astype(np.float32)
        return cut

    def is_cut(self, corners: Corners, margin: float) -> Flags:
        """Return which boxes end at an edge of the tile where the image goes on.

        Args:
            corners: Boxes in pixels of the image, (boxes, 4).
            margin: How near an edge of the input a box must be, in pixels of it.
        """
        reach = margin / np.tile(self.scale, 2)
        inner = np.array([self._low > 0, self._high < np.tile([self.width, self.height], 2)])
        near = np.array([corners < self._low + reach, corners > self._high - reach])
        at_begin, at_end = near & inner[:, None]
        return np.asarray(at_begin[:, :2].any(axis=1) | at_end[:, 2:].any(axis=1), np.bool_)

    @property
    def _low(self) -> Corners:
        return np.tile(np.array([self.tile.left, self.tile.top], np.float32), 2)

    @property
    def _high(self) -> Corners:
        return self._low + np.tile(np.array([self.tile.width, self.tile.height], np.float32), 2)
