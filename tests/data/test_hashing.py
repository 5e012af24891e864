"""Miniatures and perceptual hashes."""

import numpy as np

from headstart.data.hashing import perceptual_hash, thumbnail
from tests.conftest import picture


def test_thumbnail_is_small_and_grey() -> None:
    """Any mode gives 16 x 17 grey values."""
    for mode in ("L", "RGB"):
        miniature = thumbnail(picture(1).convert(mode))
        assert (miniature.shape, miniature.dtype) == ((16, 17), np.uint8)


def test_perceptual_hash_sets_a_bit_where_it_gets_brighter() -> None:
    """A picture that gets brighter to the right is all ones, its mirror all zeros."""
    rising = np.tile(np.arange(17, dtype=np.uint8) * 10, (16, 1))
    assert perceptual_hash(rising) == "f" * 64
    assert perceptual_hash(rising[:, ::-1]) == "0" * 64
