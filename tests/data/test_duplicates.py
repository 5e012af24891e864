"""Near duplicates are found, and different images are not grouped."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.arrays import Rows, Thumbnail
from headstart.data.duplicates import component_labels, near_duplicates
from headstart.data.hashing import make_thumbnail
from tests.conftest import picture


def pairs_of(*images: Image.Image) -> list[tuple[int, int]]:
    """Return pairs of an image and its later near duplicate."""
    return copies(near_duplicates(np.stack([make_thumbnail(image) for image in images])))


def copies(first: Rows) -> list[tuple[int, int]]:
    """Return pairs of the first image of a group and a later member."""
    return [(int(original), row) for row, original in enumerate(first) if original != row]


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Save as JPEG and open again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_reencoded_copy_is_found(quality: int) -> None:
    """A JPEG of an image is its near duplicate."""
    image = picture(3, side=256)
    assert pairs_of(image, as_jpeg(image, quality)) == [(0, 1)]


def test_a_copy_of_half_the_size_is_found() -> None:
    """An image saved at half its size is a near duplicate."""
    image = picture(4, side=256)
    assert pairs_of(image, image.resize((128, 128), Image.Resampling.LANCZOS)) == [(0, 1)]


def test_a_slightly_brighter_copy_is_found() -> None:
    """A difference of a few levels of brightness is tolerated."""
    image = picture(5, side=256)
    assert pairs_of(image, image.point(lambda value: min(value + 4, 255))) == [(0, 1)]


def test_different_pictures_are_not_joined() -> None:
    """A hundred images of similar colour are all different."""
    assert pairs_of(*(picture(seed) for seed in range(100))) == []


def test_a_mirrored_image_is_not_a_duplicate() -> None:
    """Left and right are distinguished."""
    image = picture(6)
    assert pairs_of(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == []


def test_nearly_flat_images_of_different_patterns_are_not_joined() -> None:
    """A bright spot at another position makes a different image, even if most of it is flat."""
    spots = []
    for place in (40, 120, 200):
        image = Image.new("L", (256, 256), 100)
        image.paste(220, (place, place, place + 40, place + 40))
        spots.append(image)
    assert pairs_of(*spots) == []


def test_stripes_of_brightness_are_not_joined() -> None:
    """Horizontal stripes have no horizontal gradients, yet they differ."""
    stripes = []
    for period in (2, 4, 8):
        rows = (np.arange(256) * period // 256 % 2 * 200).astype(np.uint8)
        stripes.append(Image.fromarray(np.tile(rows[:, None], (1, 256))))
    assert pairs_of(*stripes) == []


def test_flat_images_of_different_brightness_are_not_joined() -> None:
    """Black, grey and white images are not duplicates."""
    flat = [Image.new("L", (64, 64), level) for level in (0, 128, 255)]
    assert pairs_of(*flat) == []


def test_flat_images_of_the_same_brightness_are_joined() -> None:
    """Two black images are duplicates."""
    black = Image.new("L", (64, 64), 0)
    assert pairs_of(black, black.resize((32, 32))) == [(0, 1)]


def test_copies_are_found_across_blocks() -> None:
    """Duplicates are found even if they are far apart in the list."""
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (4200, 16, 17), np.uint8)
    thumbnails[4199] = thumbnails[0]
    thumbnails[4150] = thumbnails[4140]
    assert copies(near_duplicates(thumbnails)) == [(4140, 4150), (0, 4199)]


def brute_force(thumbnails: Thumbnail) -> Rows:
    """Compare every pair of images by the definition of near duplicates."""
    bits = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    pairs = []
    for row in range(len(thumbnails)):
        gap = thumbnails[row].astype(np.float32) - thumbnails
        brightness = gap.mean(axis=(1, 2), keepdims=True)
        different = (bits[row] != bits).sum(axis=(1, 2))
        near = different <= 24
        near &= np.abs(gap - brightness).mean(axis=(1, 2)) <= np.where(different <= 6, 1, 0.6)
        near &= np.abs(brightness[:, 0, 0]) <= 8
        pairs += [(row, int(other)) for other in np.flatnonzero(near)]
    return component_labels(len(thumbnails), np.array(pairs, dtype=np.int64).reshape(-1, 2))


@st.composite
def families(draw: st.DrawFn) -> Thumbnail:
    """Draw variations of a few thumbnails, flat or not, that are close to the limits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contrast = draw(st.sampled_from([0, 1, 3, 40]))
    originals = rng.normal(128, contrast, (draw(st.integers(1, 4)), 16, 17))
    count = draw(st.integers(0, 60))
    noise = rng.normal(0, draw(st.sampled_from([0.3, 0.5, 0.6, 0.7, 0.9])), (count, 16, 17))
    brightness = rng.uniform(-1, 1, (count, 1, 1)) * draw(st.sampled_from([0, 4, 8, 9]))
    drawn = originals[rng.integers(len(originals), size=count)] + noise + brightness
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


@settings(max_examples=150)
@given(families(), st.sampled_from([2, 7, 1024]))
def test_the_groups_are_those_of_brute_force(thumbnails: Thumbnail, block: int) -> None:
    """For any images and block size, no pair is missed and none is invented."""
    found = near_duplicates(thumbnails, block=block)
    np.testing.assert_array_equal(found, brute_force(thumbnails))


def test_many_duplicates_take_little_memory() -> None:
    """Five thousand duplicates have twelve million pairs, of which only a few are compared."""
    noise = np.random.default_rng(0).integers(100, 102, (5000, 16, 17), dtype=np.uint8)
    thumbnails = noise + np.arange(0, 68, 4, dtype=np.uint8)
    tracemalloc.start()
    found = near_duplicates(thumbnails)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.any()
    assert peak < 150e6


def test_component_labels_follow_chains() -> None:
    """Items are labelled with the smallest item that they are connected to, even indirectly."""
    pairs = np.array([(5, 6), (1, 3), (3, 5)])
    assert component_labels(7, pairs).tolist() == [0, 1, 2, 1, 4, 1, 1]


def test_without_pairs_nothing_is_connected() -> None:
    """Each item is its own component."""
    none = np.zeros((0, 2), dtype=np.int64)
    assert component_labels(3, none).tolist() == [0, 1, 2]
    assert component_labels(0, none).tolist() == []
