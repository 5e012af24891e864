"""Where an image lies in the input of a network, and the way back for boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.inputs import ImageInput
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from tests.data.files import encoded
from tests.detection.scenes import box_on_plain, dark_box

SIZES = [(64, 64), (97, 61), (61, 97), (640, 64), (64, 640), (1001, 99), (50, 33)]
SIDES = st.integers(1, 4000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_a_box_is_where_its_pixels_are(size: tuple[int, int], resize: str) -> None:
    """A box that is found in the preprocessed pixels is that of the image to 0.15 pixels."""
    preprocess = Preprocess(128, resize=resize)
    box = (size[0] // 5, size[1] // 4, size[0] * 4 // 5, size[1] * 7 // 8)
    pixels = preprocess.pixels(box_on_plain(size, box))
    placement = Placement.of(preprocess, size)
    found = dark_box(pixels)
    np.testing.assert_allclose(placement.to_image(found[None])[0], box, atol=0.15)
    np.testing.assert_allclose(placement.to_input(np.array([box]))[0], found, atol=0.4)


@pytest.mark.parametrize(
    ("size", "side", "decoded"),
    [
        ((2003, 1501), 64, (251, 188)),
        ((1999, 3001), 128, (250, 376)),
        ((2401, 801), 128, (601, 201)),
        ((643, 481), 64, (161, 121)),
        ((2000, 1600), 64, (250, 200)),
    ],
)
@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_a_jpeg_of_reduced_scale_has_its_boxes_in_the_same_place(
    size: tuple[int, int], side: int, decoded: tuple[int, int], resize: str
) -> None:
    """They are exact to half a pixel of the whole image, though it is decoded at 1/4 or 1/8."""
    preprocess = Preprocess(side, resize=resize)
    box = (size[0] // 5, size[1] // 4, size[0] * 4 // 5, size[1] * 7 // 8)
    data = encoded(box_on_plain(size, box), "JPEG", quality=95, subsampling=0)
    loaded = ImageInput("x.jpg", data).decode_with_size(min_side=preprocess.min_side)
    image, seen = loaded.image, loaded.size
    assert (image.size, seen) == (decoded, size)
    placement = Placement.of(preprocess, seen, image.size)
    found = placement.to_image(dark_box(preprocess.pixels(image))[None])[0]
    np.testing.assert_allclose(found, box, atol=0.5)


@given(
    SIDES, SIDES, st.sampled_from(["pad", "squash"]), st.sampled_from([1, 2, 4, 8]), st.randoms()
)
def test_the_way_back_is_the_inverse(
    width: int, height: int, resize: str, reduction: int, draw: object
) -> None:
    """Any box in any image comes back to a thousandth of the image's longer side or less."""
    decoded = (-(-width // reduction), -(-height // reduction))
    if min(decoded) < 3 * reduction:
        decoded = (width, height)
    placement = Placement.of(Preprocess(96, resize=resize), (width, height), decoded)
    xs, ys = (sorted(draw.uniform(0, side) for _ in range(2)) for side in (width, height))
    boxes = np.array([[xs[0], ys[0], xs[1], ys[1]], [0, 0, width, height]], np.float32)
    again = placement.to_image(placement.to_input(boxes))
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, boxes, atol=1e-5 * max(width, height), rtol=1e-5)


@pytest.mark.parametrize("resize", ["pad", "squash"])
@pytest.mark.parametrize("size", [(97, 61), (61, 97), (1000, 100), (64, 64)])
def test_the_whole_image_is_the_part_that_is_not_padded(size: tuple[int, int], resize: str) -> None:
    """The corners of the image are those of the pixels that are not of the padding's colour."""
    preprocess = Preprocess(64, resize=resize)
    pixels = preprocess.pixels(box_on_plain(size, (0, 0, *size)))
    ys, xs = np.nonzero((pixels != pixels.max(axis=(0, 1))).any(axis=2) | (pixels[..., 0] < 60))
    placed = Placement.of(preprocess, size).to_input(np.array([[0, 0, *size]]))[0]
    assert placed.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_boxes_are_cut_at_the_edges_of_the_image() -> None:
    """What reaches into the padding ends at the image; what lies in it has no area."""
    placement = Placement.of(Preprocess(100, resize="pad"), (200, 100))
    assert placement.offset == (0, 25)
    boxes = np.array([[-5, 10, 50, 120], [10, 0, 20, 24]], np.float32)
    assert placement.to_image(boxes).tolist() == [[0, 0, 100, 100], [20, 0, 40, 0]]


@pytest.mark.parametrize("size", [(3000, 3), (3, 3000)])
def test_an_image_that_vanishes_in_the_input_has_a_place(size: tuple[int, int]) -> None:
    """Nothing is divided by 0, and boxes stay inside the image."""
    preprocess = Preprocess(64, resize="pad")
    assert preprocess.pixels(box_on_plain(size, (0, 0, 1, 1))).shape == (64, 64, 3)
    placement = Placement.of(preprocess, size)
    boxes = placement.to_image(np.array([[0, 0, 64, 64]], np.float32))
    assert boxes.tolist() == [[0, 0, *size]]
    assert np.isfinite(placement.to_input(boxes)).all()


def test_a_cropped_image_has_no_place() -> None:
    """Edges that are cut off cannot be boxes' edges."""
    with pytest.raises(ValueError, match="no place for their edges"):
        Placement.of(Preprocess(64, resize="shorter"), (50, 40))
