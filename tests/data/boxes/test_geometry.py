"""Boxes are placed in the image as it is seen, and what is not a box of it is dropped."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from headstart.data.boxes.annotations import BoxedImage
from headstart.data.boxes.geometry import _turned, as_annotated, place_boxes
from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.tally import Tally
from tests.data.boxes.builders import image


def placed(path: Path, *boxes: LabelledBox, **described: object) -> tuple[BoxedImage, list[str]]:
    """Place boxes in one image, and return it with what is said."""
    tally = Tally()
    (found,) = place_boxes([BoxedImage("a.png", str(path), boxes, **described)], tally)
    return found, list(tally.sentences())


def box(*corners: float, label: str = "cat") -> LabelledBox:
    """Return a box."""
    return LabelledBox(label, *corners)


@given(st.integers(1, 8), st.integers(2, 9), st.integers(2, 9), st.data())
def test_boxes_turn_with_their_pixels(
    orientation: int, width: int, height: int, data: st.DataObject
) -> None:
    """A box drawn in the stored image is that of the same pixels in the upright one."""
    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))
    stored = Image.new("L", (width, height))
    stored.paste(255, (x1, y1, x2, y2))
    stored.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(stored)
    turned = _turned(np.array([[x1, y1, x2, y2]], float), (width, height), orientation)
    assert tuple(turned[0]) == upright.getbbox()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(60, 40), (200, 20), (200, 201)])
def test_a_declared_size_shows_whether_a_tool_turned_the_image(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    """With rows as columns, the stored size means that boxes are to be turned."""
    path = tmp_path / "a.jpg"
    image(path, size, orientation)
    seen = size if orientation < 5 else size[::-1]
    stored_box = (3.0, 5.0, 13.0, 12.0)
    as_seen, said = placed(path, box(1, 2, 9, 11), size=seen)
    assert (as_seen.boxes[0].corners, said) == ((1, 2, 9, 11), [])
    as_stored, said = placed(path, box(*stored_box), size=size)
    (expected,) = _turned(np.array([stored_box]), size, orientation if orientation > 4 else 1)
    assert as_stored.boxes[0].corners == tuple(expected)
    assert len(said) == (orientation > 4)


def test_boxes_are_scaled_with_a_resized_image(tmp_path: Path) -> None:
    """If both sides have the same factor, but for rounding."""
    image(tmp_path / "a.png", (61, 40))
    found, said = placed(tmp_path / "a.png", box(10, 20, 40, 80), size=(122, 81))
    assert found.boxes[0].corners == pytest.approx((5, 20 * 40 / 81, 20, 80 * 40 / 81))
    assert said == [
        "Images of another size than their annotation says, to which boxes are scaled: 1 ('a.png')."
    ]


def test_boxes_are_scaled_and_turned(tmp_path: Path) -> None:
    """A resized copy of a photo that a tool did not turn."""
    image(tmp_path / "a.jpg", (60, 40), 6)
    found, said = placed(tmp_path / "a.jpg", box(0, 0, 20, 40), size=(120, 80))
    assert found.boxes[0].corners == (20, 0, 40, 10)
    assert len(said) == 2


def test_another_shape_is_another_image(tmp_path: Path) -> None:
    """It is rejected: nothing says where the boxes are."""
    image(tmp_path / "a.png", (60, 40))
    found, _ = placed(tmp_path / "a.png", box(1, 2, 3, 4), size=(50, 50))
    assert found.rejected == "its boxes are for an image of 50 x 50, but it has 60 x 40 pixels"


def test_shares_become_pixels(tmp_path: Path) -> None:
    """Of the image as it is seen, or as its annotation says that it is."""
    image(tmp_path / "a.jpg", (60, 40), 8)
    found, _ = placed(tmp_path / "a.jpg", box(0, 0.5, 0.5, 1), in_shares=True)
    assert found.boxes[0].corners == (0, 30, 20, 60)
    found, _ = placed(tmp_path / "a.jpg", box(0, 0.5, 0.5, 1), in_shares=True, size=(60, 40))
    assert found.boxes[0].corners == (20, 30, 40, 60)


@pytest.mark.parametrize(
    ("corners", "kept", "kind"),
    [
        ((-5, 10, 20, 50), (0, 10, 20, 40), "Boxes that leave the image, clipped"),
        ((-0.4, 0, 60.3, 40), (0, 0, 60, 40), None),
        ((60, 0, 80, 20), None, "Boxes outside the image, left out"),
        ((5, 5, 5, 20), None, "Boxes without width or height, left out"),
        (
            (20, 5, 10, 20),
            None,
            "Boxes whose right or lower edge is before the other one, left out",
        ),
        ((math.nan, 5, 10, 20), None, "Boxes with a coordinate that is not a number, left out"),
        ((5, 5, math.inf, 20), None, "Boxes with a coordinate that is not a number, left out"),
    ],
)
def test_boxes_that_are_none_are_dropped(
    tmp_path: Path,
    corners: tuple[float, ...],
    kept: tuple[float, ...] | None,
    kind: str | None,
) -> None:
    """Or clipped, each with a sentence."""
    image(tmp_path / "a.png", (60, 40))
    found, said = placed(tmp_path / "a.png", box(*corners), box(1, 1, 2, 2))
    assert [one.corners for one in found.boxes] == [*([kept] if kept else []), (1, 1, 2, 2)]
    assert said == ([f"{kind}: 1 ('a.png')."] if kind else [])


def test_doubles_are_dropped(tmp_path: Path) -> None:
    """The same place with another label is another box."""
    image(tmp_path / "a.png", (60, 40))
    boxes = [box(1, 1, 9, 9), box(1, 1, 9, 9), box(1, 1, 9, 9, label="dog"), box(1, 1, 9, 9)]
    found, said = placed(tmp_path / "a.png", *boxes)
    assert list(found.boxes) == [boxes[0], boxes[2]]
    assert said == ["Boxes with the label and the place of another one, left out: 2 ('a.png')."]


def test_an_unreadable_image_stays_for_the_check(tmp_path: Path) -> None:
    """So that its reason is the same as for other data."""
    (tmp_path / "a.png").write_bytes(b"nothing")
    found, said = placed(tmp_path / "a.png", box(1, 1, 9, 9))
    assert (found.rejected, said) == (None, [])


def test_many_boxes_are_fast(tmp_path: Path) -> None:
    """5,000 in one image, of which some leave it."""
    image(tmp_path / "a.png", (600, 400))
    boxes = [box(number / 10, 380, number / 10 + 9, 381 + number / 200) for number in range(5000)]
    start = time.perf_counter()
    found, said = placed(tmp_path / "a.png", *boxes)
    assert time.perf_counter() - start < 1
    assert len(found.boxes) == 5000
    assert len(said) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("factor", [1, 2, 0.5])
@pytest.mark.parametrize("of", ["stored", "seen"])
def test_boxes_as_an_annotation_has_them(
    tmp_path: Path, orientation: int, factor: float, of: str
) -> None:
    """What is placed in an image can be taken back, whatever the annotation is for."""
    image(tmp_path / "a.png", (60, 40), orientation)
    (size,) = read_sizes([str(tmp_path / "a.png")])
    declared = tuple(factor * side for side in getattr(size, of))
    given_box = box(*(factor * side for side in (2, 3, 30, 35)))
    found, _ = placed(tmp_path / "a.png", given_box, size=declared)
    corners = np.array([one.corners for one in found.boxes])
    assert as_annotated(corners, declared, size)[0].tolist() == pytest.approx(given_box.corners)


def test_boxes_of_an_annotation_of_another_shape(tmp_path: Path) -> None:
    """They stay as they are."""
    image(tmp_path / "a.png", (60, 40))
    (size,) = read_sizes([str(tmp_path / "a.png")])
    corners = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert np.array_equal(as_annotated(corners, (10, 90), size), corners)
