"""Thumbnails and perceptual hashes of images."""

import numpy as np
from PIL import Image

from headstart.arrays import Thumbnail

_SIDE = 16
THUMBNAIL = (_SIDE, _SIDE + 1)
"""Height and width of a thumbnail."""


def make_thumbnail(image: Image.Image) -> Thumbnail:
    """Shrink an image to the grey thumbnail that perceptual hashes are computed from.

    Returns:
        Array of shape (16, 17), values 0 to 255.
    """
    small = image.resize(THUMBNAIL[::-1], Image.Resampling.BILINEAR)
    return np.asarray(small.convert("L"))


def perceptual_hash(thumbnail: Thumbnail) -> str:
    """Compute the difference hash: one bit per pixel, set if its right neighbour is brighter.

    Follows Krawetz, "Kind of Like That" (2013), at twice the usual resolution.

    Returns:
        64 hexadecimal digits (256 bits).
    """
    steps = thumbnail[:, 1:] > thumbnail[:, :-1]
    return np.packbits(steps).tobytes().hex()
