"""Overlapping tiles of large images."""

import numpy as np
import pytest

from headstart.data.tiling import Tile, TileScale, tiles_of


@pytest.mark.parametrize("size", [(1, 1), (640, 640), (640, 3), (500, 639)])
def test_an_image_that_is_not_larger_than_a_tile_is_whole(size):
    """So is every image without tiles."""
    assert tiles_of(size, 640) == (Tile(0, 0, *size),)
    assert tiles_of((4000, 3000), None) == (Tile(0, 0, 4000, 3000),)


@pytest.mark.parametrize("size", [(641, 10), (10, 641), (641, 641), (4000, 3000), (20000, 300)])
def test_tiles_cover_the_image_and_overlap(size):
    """The whole image is the first of them, and neighbours share at least a fifth."""
    whole, *tiles = tiles_of(size, 640)
    assert whole == Tile(0, 0, *size)
    covered = np.zeros((size[1], size[0]), np.bool_)
    for tile in tiles:
        assert (tile.width, tile.height) == (min(640, size[0]), min(640, size[1]))
        assert min(tile.left, tile.top) >= 0
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = True
    assert covered.all()
    for begins in (sorted({tile.left for tile in tiles}), sorted({tile.top for tile in tiles})):
        assert all(step <= 640 * 0.8 + 1 for step in np.diff(begins))
    assert len(set(tiles)) == len(tiles)


def test_as_few_tiles_as_the_overlap_allows():
    """1,152 pixels are two tiles of 640 that share 128; one more needs a third."""
    assert len(tiles_of((1152, 640), 640)) == 1 + 2
    assert len(tiles_of((1153, 640), 640)) == 1 + 3


def test_an_image_is_needed_at_the_scale_of_its_tiles():
    """Or larger, if it is smaller than a tile; a panorama too."""
    scale = TileScale(640, 320)
    assert scale.of((4000, 3000)) == scale.of((640, 640)) == scale.of((9, 4000)) == 0.5
    assert scale.of((200, 320)) == 1
