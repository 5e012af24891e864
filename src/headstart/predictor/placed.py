"""Images as detectors read them: whole or in tiles, with the place of each in the input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from headstart.arrays import Pixels
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.inputs import ImageInput
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.data.tiling import TileScale, tiles_of
from headstart.options import DecodeLimits

AHEAD_IN_TILES = 1
"""How many images that are cut into tiles wait decoded; they may be very large."""


@dataclass(frozen=True, eq=False)
class PlacedImage:
    """A decoded image.

    Attributes:
        pixels: The pixels of the input for each tile, (size, size, 3). Those of several tiles are
            cut out and resized only when they are needed.
        placements: Where each tile is.
    """

    pixels: Iterable[Pixels]
    placements: Sequence[Placement]

    @classmethod
    def of(cls, loaded: LoadedImage, preprocess: Preprocess, side: int | None) -> Self:
        """Place an image and, if it is larger than a tile, its tiles.

        Args:
            loaded: The image, which has been converted.
            preprocess: The preprocessing of the input.
            side: The side of a tile, in pixels; None for the whole image only.
        """
        tiles = tiles_of(loaded.size, side)
        if len(tiles) == 1:
            placement = Placement.of(preprocess, loaded.size, loaded.image.size, loaded.begin)
            return cls([preprocess.pixels_of(loaded)], [placement])
        return cls(
            (preprocess.pixels_of(loaded, tile) for tile in tiles),
            [Placement.of_tile(preprocess, loaded.size, tile) for tile in tiles],
        )


def side_needed(preprocess: Preprocess, side: int | None) -> MinSide:
    """Return what is needed of an image, whose JPEG may be decoded at reduced scale.

    Args:
        preprocess: The preprocessing of the input.
        side: The side of a tile, in pixels; None for the whole image only.
    """
    return TileScale(side, preprocess.size) if side else preprocess.min_side


def decode_placed(
    image: ImageInput, preprocess: Preprocess, limits: DecodeLimits | None = None
) -> tuple[Pixels, Placement]:
    """Return the pixels of the input for a whole image, and where the image is in it.

    Raises:
        UnreadableImage: It cannot be decoded.
    """
    placed = decode_tiles(image, preprocess, None, limits)
    (pixels,), (placement,) = placed.pixels, placed.placements
    return pixels, placement


def decode_tiles(
    image: ImageInput,
    preprocess: Preprocess,
    side: int | None,
    limits: DecodeLimits | None = None,
) -> PlacedImage:
    """Return an image and, if it is larger than a tile, its tiles.

    Args:
        image: The image.
        preprocess: The preprocessing of the input.
        side: The side of a tile, in pixels; None for the whole image only.
        limits: Limits on the image.

    Raises:
        UnreadableImage: It cannot be decoded.
    """
    needed, contract = side_needed(preprocess, side), preprocess.contract
    loaded = image.decode_with_size(min_side=needed, contract=contract, limits=limits)
    return PlacedImage.of(loaded, preprocess, side)
