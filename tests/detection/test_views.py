"""Views of images with boxes, whose boxes follow their pixels."""

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding import as_loaded, decode_loaded
from headstart.data.preprocessing import Preprocess
from headstart.detection.views import DetectionViews, View, WholeImages, resized_part
from headstart.predictor.placed import side_needed
from tests.data.files import encoded
from tests.detection.scenes import DARK, PLAIN, background, box_on_plain, dark_box

SIDE = 64
PREPROCESS = Preprocess(SIDE, resize="pad")
SIZES = [(96, 72), (61, 97), (300, 30), (30, 300), (50, 41)]


def views_of(*sizes, seed=0, views=6, preprocess=PREPROCESS):
    """Return the views of images of these sizes."""
    files = tuple((f"{number}.png", f"hash {number}") for number in range(len(sizes)))
    return DetectionViews(files, tuple(sizes), preprocess, views, seed)


def view_of(plan, image, view, number=0):
    """Return the pixels of a view of an image."""
    return plan.view(plan.decoded.pixels_of(as_loaded(image)), number, view)


@pytest.mark.parametrize("size", SIZES)
def test_view_0_is_the_image_as_it_is_predicted(size):
    """It differs from the preprocessed image only as resizing twice does."""
    image = background(3, size).resize((size[0] // 4 + 1, size[1] // 4 + 1)).resize(size)
    made = view_of(views_of(size), image, 0)
    assert made.shape == (SIDE, SIDE, 3)
    assert made.dtype == np.uint8
    expected = PREPROCESS.pixels(image)
    difference = np.abs(made.astype(int) - expected)
    assert difference.mean() < 1.5
    left, top, width, height = PREPROCESS.placed(*size)
    made = made.copy()
    made[top : top + height, left : left + width] = PLAIN
    assert (made == PLAIN).all()


def test_view_1_is_view_0_mirrored():
    """Pixel by pixel."""
    plan, image = views_of((96, 72)), background(3, (96, 72))
    assert np.array_equal(view_of(plan, image, 1), view_of(plan, image, 0)[:, ::-1])


@pytest.mark.parametrize("size", SIZES)
def test_boxes_follow_their_pixels(size):
    """In every view, the painted box is found where the plan says, within one pixel."""
    plan = views_of(size, views=12, preprocess=Preprocess(128, resize="pad"))
    box = (size[0] // 4, size[1] // 6, size[0] * 3 // 4, size[1] * 5 // 6)
    image, found = box_on_plain(size, box), 0
    for view in range(12):
        corners, visible = plan.truth(0, view, np.array([box], np.float32))
        made = view_of(plan, image, view)
        if not visible[0]:
            continue
        if (corners[0, 2:] - corners[0, :2]).min() < 4:  # Too thin to be found exactly.
            continue
        assert np.abs(dark_box(made) - corners[0]).max() < 1, view
        found += 1
    assert found >= 6


def test_boxes_are_exact_in_the_whole_image():
    """View 0 has the boxes of the placement, by which detections come back to the image."""
    plan = views_of((96, 72), (61, 97))
    boxes = np.array([[3, 4, 50, 60], [0, 0, 61, 72]], np.float32)
    for number in range(2):
        corners, visible = plan.truth(number, 0, boxes)
        placed = plan.placement(number).to_input(boxes)
        np.testing.assert_allclose(corners[0], placed[0], atol=1e-4)
        assert visible.all()
        back = plan.placement(number).to_image(corners[:1])
        np.testing.assert_allclose(back, boxes[:1], atol=1e-4)


def test_mirrored_boxes_keep_their_left_edge_left():
    """The left edge of a mirrored box is its right edge before."""
    plan = views_of((64, 64))
    corners, _ = plan.truth(0, 1, np.array([[4, 8, 20, 30]], np.float32))
    assert corners.tolist() == [[44, 8, 60, 30]]


def test_a_box_of_which_little_is_visible_is_no_box():
    """Less than 30 % of its area; what is left of others is cut at the edge."""
    view = View(left=-32, top=0, width=128, height=64)
    shares = np.array(
        [
            [0.0, 0, 0.2, 1],  # Left of the view.
            [0.2, 0, 0.28, 1],  # Of 8 % of the width, 3 % are within.
            [0.2, 0, 0.29, 1],  # Of 9 %, 4 %.
            [0.3, 0.2, 0.7, 0.8],
            [0.5, 0.5, 0.5, 0.5],  # Empty.
        ],
        np.float32,
    )
    corners, visible = view.corners(shares, 64)
    assert visible.tolist() == [False, True, True, True, False]
    assert corners.min() >= 0 and corners.max() <= 64
    assert corners[2].tolist() == pytest.approx([0, 0, 0.29 * 128 - 32, 64], abs=1e-4)
    barely = np.array([[0.18, 0, 0.279, 1]], np.float32)  # 2.9 of 9.9.
    assert not view.corners(barely, 64)[1][0]


def test_views_depend_on_seed_image_and_number_only():
    """Two plans with the same seed are equal; other seeds, images and numbers have other views."""
    sizes = ((96, 72),) * 5
    drawn = [
        [plan.of(image, view) for image in range(5) for view in range(2, 6)]
        for plan in (views_of(*sizes), views_of(*sizes), views_of(*sizes, seed=1))
    ]
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])
    assert len(set(drawn[0])) == 20
    fewer = views_of(*sizes, views=3)
    assert fewer.of(1, 2) == views_of(*sizes).of(1, 2)


def test_drawn_views_vary_in_scale_aspect_place_and_direction():
    """Scales from 0.5 to 1.5, aspect ratios within 1.2, half of them mirrored, none outside."""
    plan = views_of(*((96, 72),) * 400)
    drawn = [plan.of(image, 2) for image in range(400)]
    whole = plan.of(0, 0)
    assert (whole.left, whole.top, whole.width, whole.height) == (0, 8, 64, 48)
    scales = np.array([(v.width * v.height / (64 * 48)) ** 0.5 for v in drawn])
    stretch = np.array([v.width / v.height / (64 / 48) for v in drawn])
    assert 0.45 < scales.min() < 0.6 and 1.4 < scales.max() < 1.55
    assert 0.78 < stretch.min() < 0.9 and 1.1 < stretch.max() < 1.28
    assert 0.4 < np.mean([view.mirrored for view in drawn]) < 0.6
    for view in drawn:
        for begin, side in ((view.left, view.width), (view.top, view.height)):
            assert min(0, SIDE - side) <= begin <= max(0, SIDE - side)
    assert len({(view.left, view.top) for view in drawn}) > 100


def test_the_rest_of_a_view_has_the_colour_of_padding():
    """It is that of `Preprocess.pixels`, so that the network has seen it."""
    plan, image = views_of((96, 72), views=30), Image.new("RGB", (96, 72), DARK)
    small = next(view for view in range(2, 30) if plan.of(0, view).width < 50)
    made = view_of(plan, image, small)
    assert {tuple(pixel) for pixel in made.reshape(-1, 3).tolist()} == {PLAIN, DARK}


def test_images_are_decoded_larger_than_the_input():
    """So that views can enlarge parts of them without blur."""
    decoded = views_of((96, 72)).decoded
    assert decoded.min_side == 96
    assert decoded.pixels_of(as_loaded(Image.new("RGB", (400, 300)))).shape == (72, 96, 3)
    assert decoded.pixels_of(as_loaded(Image.new("L", (10, 20)))).shape == (96, 48, 3)


@pytest.mark.parametrize("size", [(3000, 3), (3, 3000), (1, 1)])
def test_extreme_images_have_views(size):
    """A line of pixels is no error."""
    plan, image = views_of(size), Image.new("RGB", size, DARK)
    for view in range(6):
        assert view_of(plan, image, view).shape == (SIDE, SIDE, 3)
        corners, _ = plan.truth(0, view, np.array([[0, 0, *size]], np.float32))
        assert np.isfinite(corners).all()


def tiles_of(*sizes, side=128, views=6):
    """Return the views of images that are cut into tiles."""
    files = tuple((f"{number}.png", f"hash {number}") for number in range(len(sizes)))
    return DetectionViews(files, tuple(sizes), PREPROCESS, views, 0, side)


def test_large_images_have_the_views_of_their_tiles():
    """The whole image first; an image that is not larger than a tile is its only one."""
    plan = tiles_of((300, 200), (128, 100))
    assert plan.image_of.tolist() == [0] * 7 + [1]
    assert plan.files == (("0.png", "hash 0"),) * 7 + (("1.png", "hash 1"),)
    assert plan.preset != views_of((300, 200)).preset
    geometries = {(tile, plan.of(tile, view)) for tile in range(8) for view in range(6)}
    assert len(geometries) == 48
    assert len({plan.of(tile, 3) for tile in range(7)}) == 7


def test_tiles_are_decoded_at_their_scale():
    """At 1.5 times what the input shows of a tile, but never enlarged."""
    decoded = tiles_of((300, 200)).decoded
    assert decoded.min_side == side_needed(PREPROCESS, 128)
    assert decoded.pixels_of(as_loaded(Image.new("RGB", (1280, 640)))).shape == (480, 960, 3)
    assert decoded.pixels_of(as_loaded(Image.new("RGB", (100, 50)))).shape == (48, 96, 3)
    assert tiles_of((9, 9), side=80).decoded.pixels_of(
        as_loaded(Image.new("L", (500, 90)))
    ).shape == (90, 500, 3)


def test_boxes_follow_their_pixels_in_tiles():
    """In every view of every tile, as in whole images; a tile without the box shows none."""
    size, box = (300, 200), (110, 60, 150, 95)
    plan = DetectionViews(
        (("0.png", "hash"),), (size,), Preprocess(128, resize="pad"), 8, 0, side=128
    )
    pixels = plan.decoded.pixels_of(as_loaded(box_on_plain(size, box)))
    found = 0
    for tile in range(len(plan.tiles)):
        for view in range(8):
            corners, visible = plan.truth(tile, view, np.array([box], np.float32))
            made = plan.view(pixels, tile, view)
            if visible[0]:
                assert np.abs(dark_box(made) - corners[0]).max() < 1, (tile, view)
                found += 1
    assert found >= 20


def test_a_tile_is_seen_as_it_is_predicted():
    """View 0 of a tile has the pixels that `decode_tiles` cuts out, which is resized once."""
    image = background(3, (80, 60)).resize((320, 240))
    plan = tiles_of(image.size)
    pixels = plan.decoded.pixels_of(as_loaded(image))
    for number, (_, tile) in enumerate(plan.tiles):
        expected = PREPROCESS.pixels_of(as_loaded(image), tile).astype(int)
        assert np.abs(plan.view(pixels, number, 0) - expected).mean() < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [None, 450])
def test_boxes_follow_their_pixels_in_a_photo_of_reduced_scale(side, orientation):
    """Within half a pixel of the input, whichever way it is turned, with and without tiles."""
    stored, box, exif = (1001, 907), (310, 250, 520, 480), Image.Exif()
    exif[0x0112] = orientation
    image = box_on_plain(stored, box)
    loaded = decode_loaded(
        encoded(image, "JPEG", quality=95, subsampling=0, exif=exif),
        min_side=WholeImages(PREPROCESS, side).min_side,
    )
    assert max(loaded.image.size) < max(stored) / 2 + 1
    seen = turned(np.array(box), stored, orientation)
    plan = DetectionViews((("0.jpg", "hash"),), (loaded.size,), PREPROCESS, 2, 0, side)
    pixels, found = plan.decoded.pixels_of(loaded), 0
    for tile in range(len(plan.tiles)):
        corners, visible = plan.truth(tile, 0, np.array([seen], np.float32))
        if visible[0] and corners.min() > 0 and corners.max() < SIDE:
            made = plan.view(pixels, tile, 0)
            assert np.abs(dark_box(made) - corners[0]).max() < 0.5, tile
            found += 1
    assert found


def turned(box, size, orientation):
    """Return a box of a stored image in the image as it is seen."""
    left, top, right, bottom = box
    width, height = size
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    upright = (left, top, right, bottom)
    return upright if orientation < 5 else (top, left, bottom, right)


def test_a_view_needs_only_the_pixels_around_it():
    """It is resized from these as from the whole image, to within rounding."""
    size = (900, 700)
    pixels, rng = np.asarray(background(3, size)), np.random.default_rng(0)
    for _ in range(50):
        left, top = (rng.uniform(0, side - 300) for side in size)
        box = np.array([left, top, left + rng.uniform(1, 300), top + rng.uniform(1, 300)])
        wanted = tuple(rng.integers(1, 330, 2).tolist())
        whole = Image.fromarray(pixels).resize(wanted, Image.Resampling.BICUBIC, tuple(box))
        made = np.asarray(resized_part(pixels, box, wanted)).astype(int)
        assert np.abs(made - np.asarray(whole)).max() <= 2
