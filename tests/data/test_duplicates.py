"""Near duplicates: copies are found, different images are not joined."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.arrays import Miniature, Rows
from headstart.data.duplicates import connected, near_duplicates
from headstart.data.hashing import thumbnail
from tests.conftest import picture


def pairs_of(*images: Image.Image) -> list[tuple[int, int]]:
    """Return each image that is a near duplicate of an earlier one, after that one."""
    return copies(near_duplicates(np.stack([thumbnail(image) for image in images])))


def copies(first: Rows) -> list[tuple[int, int]]:
    """Return each image that is named by another one, after that one."""
    return [(int(one), row) for row, one in enumerate(first) if one != row]


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Save as JPEG and open again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


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


def test_copies_are_found_across_blocks() -> None:
    """The search in blocks misses no pair, wherever its two images are."""
    rng = np.random.default_rng(0)
    miniatures = rng.integers(0, 256, (4200, 16, 17), np.uint8)
    miniatures[4199] = miniatures[0]
    miniatures[4150] = miniatures[4140]
    assert copies(near_duplicates(miniatures)) == [(4140, 4150), (0, 4199)]


def by_all_pairs(miniatures: Miniature) -> Rows:
    """Compare every pair of images, as the definition says."""
    bits = miniatures[:, :, 1:] > miniatures[:, :, :-1]
    pairs = []
    for row in range(len(miniatures)):
        gap = miniatures[row].astype(np.float32) - miniatures
        brightness = gap.mean(axis=(1, 2), keepdims=True)
        near = (bits[row] != bits).sum(axis=(1, 2)) <= 24
        near &= np.abs(gap - brightness).mean(axis=(1, 2)) <= 0.6
        near &= np.abs(brightness[:, 0, 0]) <= 8
        pairs += [(row, int(other)) for other in np.flatnonzero(near)]
    return connected(len(miniatures), np.array(pairs, dtype=np.int64).reshape(-1, 2))


@st.composite
def families(draw: st.DrawFn) -> Miniature:
    """Draw miniatures of a few originals, flat or not, and of changes of them at the limits."""
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contrast = draw(st.sampled_from([0, 1, 3, 40]))
    originals = numbers.normal(128, contrast, (draw(st.integers(1, 4)), 16, 17))
    count = draw(st.integers(0, 60))
    noise = numbers.normal(0, draw(st.sampled_from([0.3, 0.5, 0.6, 0.7])), (count, 16, 17))
    brightness = numbers.uniform(-1, 1, (count, 1, 1)) * draw(st.sampled_from([0, 4, 8, 9]))
    drawn = originals[numbers.integers(len(originals), size=count)] + noise + brightness
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


@settings(max_examples=150)
@given(families(), st.sampled_from([2, 7, 1024]))
def test_the_groups_are_those_of_all_pairs(miniatures: Miniature, block: int) -> None:
    """Whatever the images and the size of a block, no pair is missed and none is invented."""
    found = near_duplicates(miniatures, block=block)
    np.testing.assert_array_equal(found, by_all_pairs(miniatures))


def test_a_crowd_of_copies_takes_little_memory() -> None:
    """Five thousand copies have twelve million pairs, of which few are looked at."""
    noise = np.random.default_rng(0).integers(100, 102, (5000, 16, 17), dtype=np.uint8)
    miniatures = noise + np.arange(0, 68, 4, dtype=np.uint8)
    tracemalloc.start()
    found = near_duplicates(miniatures)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.any()
    assert peak < 150e6


def test_connected_follows_chains() -> None:
    """Items are named by the smallest that they are connected to, however indirectly."""
    pairs = np.array([(5, 6), (1, 3), (3, 5)])
    assert connected(7, pairs).tolist() == [0, 1, 2, 1, 4, 1, 1]


def test_nothing_is_connected_without_pairs() -> None:
    """Without pairs, each item is on its own."""
    none = np.zeros((0, 2), dtype=np.int64)
    assert connected(3, none).tolist() == [0, 1, 2]
    assert connected(0, none).tolist() == []
