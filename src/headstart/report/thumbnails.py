"""Thumbnails of wrongly predicted images."""

import io
from collections.abc import Sequence

from PIL import Image

from headstart.answers import Mistake
from headstart.data.contract import PixelContract
from headstart.data.decoding import decode_image, read_image
from headstart.data.images import ImageSet
from headstart.data.quiet import quiet_libraries
from headstart.report.page import PicturedMistake

SIDE = 224
"""The longer side of a thumbnail, in pixels."""

QUALITY = 80
"""The quality of its JPEG, up to 95."""


def with_thumbnails(
    mistakes: Sequence[Mistake], images: ImageSet, contract: PixelContract
) -> list[PicturedMistake]:
    """Return wrong predictions with their images as the model saw them, at most 224 pixels large.

    Args:
        mistakes: The predictions.
        images: The images that the rows of the predictions refer to.
        contract: The model's.
    """
    names, paths = images.names, images.paths
    return [
        PicturedMistake(mistake, names[mistake.row], thumbnail(paths[mistake.row], contract))
        for mistake in mistakes
    ]


def thumbnail(
    path: str, contract: PixelContract, side: int = SIDE, *, quality: int = QUALITY
) -> bytes:
    """Return an image as a small JPEG.

    Raises:
        UnreadableImage: It cannot be decoded any more.
    """
    with quiet_libraries():
        image = decode_image(read_image(path), path=path, min_side=side, contract=contract)
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    return as_jpeg(small, quality=quality)


def as_jpeg(image: Image.Image, *, quality: int = QUALITY) -> bytes:
    """Return an image as the bytes of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
