"""What the boxes of a data set are like is counted from the manifest."""

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.boxes.findings import BoxFindings, DoubleBox, Quartiles, find_in_boxes
from headstart.data.boxes.labels import LabelledBox, write_boxes
from headstart.data.manifest import SCHEMA


def table(*images: list[LabelledBox], rejected: bool = False) -> pa.Table:
    """Return the manifest of images of 200 x 100 pixels."""
    rows = [
        {
            "image": f"{number}.png",
            "label": write_boxes(boxes),
            "width": 200,
            "height": 100,
            "rejected": "damaged" if rejected else None,
        }
        for number, boxes in enumerate(images)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def box(label: str, *corners: float, crowd: bool = False) -> LabelledBox:
    """Return a box."""
    return LabelledBox.of(label, corners, crowd=crowd)


def test_boxes_are_counted() -> None:
    """By image, class and size; those around crowds only as such."""
    images = [
        [box("a", 0, 0, 31, 32), box("a", 50, 0, 82, 32), box("b", 0, 0, 96, 96)],
        [box("b", 0, 0, 97, 96), box("b", 0, 0, 200, 100, crowd=True)],
        [],
        [box("c", 0, 0, 9, 9, crowd=True)],
    ]
    found = find_in_boxes(table(*images))
    assert (found.images, found.boxes, found.crowds, found.background) == (4, 4, 2, 1)
    assert (found.small, found.medium, found.large) == (1, 2, 1)
    assert found.by_class == (("a", 2), ("b", 2))
    assert found.images_by_class == (("a", 1), ("b", 2))
    assert found.per_image == Quartiles(0, 0, 0.5, 1.5, 3)
    assert found.sides is not None
    assert found.sides.most == pytest.approx((97 * 96 / 20000) ** 0.5)
    assert found.doubles == ()


def test_rejected_images_do_not_count() -> None:
    """Without others, there is nothing to describe."""
    found = find_in_boxes(table([box("a", 0, 0, 9, 9)], rejected=True))
    assert found == BoxFindings(0, 0, 0, 0, None, None, 0, 0, 0, (), (), ())


def test_boxes_at_nearly_the_same_place() -> None:
    """Of one class, with the image and the most alike first."""
    images = [
        [box("a", 0, 0, 10, 10), box("a", 0, 0, 9, 10), box("b", 0, 0, 10, 10)],
        [box("a", 0, 0, 10, 10), box("a", 0, 0, 8.9, 10), box("a", 0, 0, 10, 9.9)],
    ]
    assert find_in_boxes(table(*images)).doubles == (
        DoubleBox("1.png", "a", pytest.approx(0.99)),
        DoubleBox("0.png", "a", pytest.approx(0.9)),
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=8))
def test_equal_boxes_are_pairs(places: list[tuple[int, int]]) -> None:
    """Each pair counts once, however the boxes are ordered."""
    boxes = [box("a", 20 * x, 20 * y, 20 * x + 19, 20 * y + 19) for x, y in places]
    pairs = sum(places[one] == places[other] for one in range(len(places)) for other in range(one))
    assert len(find_in_boxes(table(boxes)).doubles) == pairs


def test_many_boxes_are_fast() -> None:
    """5,000 in one image."""
    boxes = [box("a", n % 70, n // 70, n % 70 + 1, n // 70 + 1) for n in range(5000)]
    start = time.perf_counter()
    assert find_in_boxes(table(boxes)).doubles == ()
    assert time.perf_counter() - start < 5
