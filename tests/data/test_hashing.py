"""Thumbnails and perceptual hashes."""

import numpy as np

from headstart.data.hashing import make_thumbnail, perceptual_hash
from tests.conftest import picture


def test_thumbnail_is_small_and_grey() -> None:
    """Images of any mode become 16 x 17 grey values."""
    for mode in ("L", "RGB"):
        thumbnail = make_thumbnail(picture(1).convert(mode))
        assert (thumbnail.shape, thumbnail.dtype) == ((16, 17), np.uint8)


def test_perceptual_hash_sets_a_bit_where_it_gets_brighter() -> None:
    """The hash of a horizontal ramp is all ones; that of its mirror image is all zeros."""
    rising = np.tile(np.arange(17, dtype=np.uint8) * 10, (16, 1))
    assert perceptual_hash(rising) == "f" * 64
    assert perceptual_hash(rising[:, ::-1]) == "0" * 64
