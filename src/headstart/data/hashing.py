"""Miniatures and perceptual hashes of images."""

import numpy as np
from PIL import Image

from headstart.arrays import Miniature

_SIDE = 16


def thumbnail(image: Image.Image) -> Miniature:
    """Shrink an image to the grey miniature that perceptual hashes are made of.

    Returns:
        Array of shape (16, 17), values 0 to 255.
    """
    small = image.resize((_SIDE + 1, _SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small.convert("L"))


def perceptual_hash(miniature: Miniature) -> str:
    """Return the difference hash: one bit for each step to the right, set where it gets brighter.

    Returns:
        64 hexadecimal digits (256 bits).

    Follows Krawetz, "Kind of Like That" (2013), at twice the usual resolution.
    """
    steps = miniature[:, 1:] > miniature[:, :-1]
    return np.packbits(steps).tobytes().hex()
