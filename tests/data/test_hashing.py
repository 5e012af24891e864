"""Hashing: copies are found, different images are not joined."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.hashing import (
    connected,
    file_sha256,
    near_duplicates,
    perceptual_hash,
    thumbnail,
)
from tests.conftest import picture


def pairs_of(*images: Image.Image) -> list[tuple[int, int]]:
    """Give the pairs of images that are found to be near duplicates."""
    return near_duplicates(np.stack([thumbnail(image) for image in images]))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Save as JPEG and open again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def test_file_hash_is_sha256_of_the_content(tmp_path: Path) -> None:
    """The hash is that of the bytes, whatever the name."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"headstart")
    assert file_sha256(path) == hashlib.sha256(b"headstart").hexdigest()


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


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_reencoded_copy_is_found(quality: int) -> None:
    """A JPEG of a picture is its near duplicate."""
    image = picture(3, side=256)
    assert pairs_of(image, as_jpeg(image, quality)) == [(0, 1)]


def test_a_copy_of_half_the_size_is_found() -> None:
    """A picture saved at half its size is a near duplicate."""
    image = picture(4, side=256)
    assert pairs_of(image, image.resize((128, 128), Image.Resampling.LANCZOS)) == [(0, 1)]


def test_a_slightly_brighter_copy_is_found() -> None:
    """A few levels of brightness do not make another picture."""
    image = picture(5, side=256)
    assert pairs_of(image, image.point(lambda value: min(value + 4, 255))) == [(0, 1)]


def test_different_pictures_are_not_joined() -> None:
    """A hundred pictures around one colour are a hundred pictures."""
    assert pairs_of(*(picture(seed) for seed in range(100))) == []


def test_a_mirrored_picture_is_another() -> None:
    """Left and right matter."""
    image = picture(6)
    assert pairs_of(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == []


def test_nearly_flat_images_of_different_patterns_are_not_joined() -> None:
    """A bright spot in another place is another image, though most of it is flat."""
    spots = []
    for place in (40, 120, 200):
        image = Image.new("L", (256, 256), 100)
        image.paste(220, (place, place, place + 40, place + 40))
        spots.append(image)
    assert pairs_of(*spots) == []


def test_stripes_of_brightness_are_not_joined() -> None:
    """Horizontal stripes have no step to the right, yet they differ."""
    stripes = []
    for period in (2, 4, 8):
        rows = (np.arange(256) * period // 256 % 2 * 200).astype(np.uint8)
        stripes.append(Image.fromarray(np.tile(rows[:, None], (1, 256))))
    assert pairs_of(*stripes) == []


def test_flat_images_of_different_brightness_are_not_joined() -> None:
    """Black, grey and white are three images, not copies of one."""
    flat = [Image.new("L", (64, 64), level) for level in (0, 128, 255)]
    assert pairs_of(*flat) == []


def test_flat_images_of_one_brightness_are_joined() -> None:
    """Two black images are copies."""
    black = Image.new("L", (64, 64), 0)
    assert pairs_of(black, black.resize((32, 32))) == [(0, 1)]


def test_pairs_are_found_across_blocks() -> None:
    """The search in blocks misses no pair: the last row of the second block matches the first."""
    rng = np.random.default_rng(0)
    miniatures = rng.integers(0, 256, (4200, 16, 17), np.uint8)
    miniatures[4199] = miniatures[0]
    miniatures[4150] = miniatures[4140]
    assert sorted(near_duplicates(miniatures)) == [(0, 4199), (4140, 4150)]


def test_connected_follows_chains() -> None:
    """Items are named by the smallest that they are connected to, however indirectly."""
    assert connected(7, [(5, 6), (1, 3), (3, 5)]) == [0, 1, 2, 1, 4, 1, 1]


def test_nothing_is_connected_without_pairs() -> None:
    """Without pairs, each item stands alone."""
    assert connected(3, []) == [0, 1, 2]
    assert connected(0, []) == []
