"""The boxes of an image are one text in the manifest, and arrays for a task."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headstart.boxes import Boxes
from headstart.data.boxes.labels import (
    LabelledBox,
    boxes_of,
    class_name,
    labels_in,
    read_boxes,
    with_names,
    write_boxes,
)

_COORDINATES = st.floats(-1e5, 1e5).map(lambda value: round(value, 4))
_BOXES = st.builds(LabelledBox, st.text(), *([_COORDINATES] * 4), st.booleans())


@given(st.lists(_BOXES))
def test_boxes_are_read_as_they_were_written(boxes: list[LabelledBox]) -> None:
    """With any label, and to a ten-thousandth of a pixel."""
    assert read_boxes(write_boxes(boxes)) == boxes


def test_the_text_is_short() -> None:
    """Whole numbers have no decimals; no boxes are an empty list."""
    boxes = [LabelledBox("räccoon", 1.0, 2.5, 30, 40.00001), LabelledBox("a", 0, 0, 1, 1, True)]
    assert write_boxes(boxes) == '[["räccoon",1,2.5,30,40],["a",0,0,1,1,1]]'
    assert write_boxes([]) == "[]"
    assert json.loads(write_boxes([])) == []


def test_boxes_become_arrays() -> None:
    """Classes are numbered in the given order, and boxes of others are left out."""
    text = write_boxes([LabelledBox("b", 1, 2, 3, 4, True), LabelledBox("c", 0, 0, 1, 1)])
    found = boxes_of(text, ["a", "b"])
    assert found.corners.tolist() == [[1, 2, 3, 4]]
    assert found.classes.tolist() == [1]
    assert found.crowd.tolist() == [True]
    assert (found.corners.dtype, found.classes.dtype) == (np.float32, np.int64)


def test_background_has_no_boxes() -> None:
    """Arrays have the right shape without boxes, too."""
    found = boxes_of("[]", ["a"])
    assert found.corners.shape == Boxes.none().corners.shape == (0, 4)
    assert labels_in("[]") == set()


def test_labels_are_listed_and_renamed() -> None:
    """Boxes whose label has no new name are left out."""
    text = write_boxes([LabelledBox("b", 1, 2, 3, 4), LabelledBox("c", 0, 0, 1, 1)])
    assert labels_in(text) == {"b", "c"}
    assert read_boxes(with_names(text, {"b": "B"})) == [LabelledBox("B", 1, 2, 3, 4)]


def test_a_label_can_be_written_to_any_file() -> None:
    """Half of a pair of JSON's escapes is not a character."""
    assert class_name(" cafe\u0301 ") == "café"
    assert class_name("\ud800") == "\\ud800"
