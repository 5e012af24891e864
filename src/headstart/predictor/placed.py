"""Images as detectors read them: whole or in tiles, with the place of each in the input."""

from collections.abc import Iterable
from dataclasses import dataclass

from headstart.arrays import Pixels
from headstart.data.inputs import ImageInput
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.data.tiling import tiles_of
from headstart.options import DecodeLimits

AHEAD_IN_TILES = 1
"""How many images that are cut into tiles wait decoded; they may be very large."""


@dataclass(frozen=True, eq=False)
class PlacedImage:
    """A decoded image.

    Attributes:
        pixels: The pixels of the input for each tile, (size, size, 3), which may be resized only
            when they are needed.
        placements: Where each tile is.
    """

    pixels: Iterable[Pixels]
    placements: list[Placement]


def decode_placed(
    image: ImageInput, preprocess: Preprocess, limits: DecodeLimits | None = None
) -> tuple[Pixels, Placement]:
    """Return the pixels of the input for a whole image, and where the image is in it.

    Raises:
        UnreadableImage: It cannot be decoded.
    """
    loaded = image.decode_with_size(
        min_side=preprocess.min_side, contract=preprocess.contract, limits=limits
    )
    placement = Placement.of(preprocess, loaded.size, loaded.image.size, loaded.begin)
    return preprocess.pixels(loaded.image), placement


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
    if side is None:
        pixels, placement = decode_placed(image, preprocess, limits)
        return PlacedImage([pixels], [placement])
    loaded = image.decode_with_size(contract=preprocess.contract, limits=limits)
    tiles = tiles_of(loaded.size, side)
    return PlacedImage(
        (preprocess.pixels_of(loaded.image, tile) for tile in tiles),
        [Placement.of_tile(preprocess, loaded.size, tile) for tile in tiles],
    )
