"""Coordinates in another unit or order are noticed, and the user is asked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from headstart.data.boxes.labels import LabelledBox
from headstart.errors import DataError
from tests.data.boxes.builders import CAT, DOG, HEIGHT, WIDTH, image, opened, write_coco, write_csv

NAMES = [f"{number}.png" for number in range(8)]
HEADER = "path,x1,y1,x2,y2,label"

_Change = Callable[[LabelledBox], LabelledBox]


def shares(box: LabelledBox) -> LabelledBox:
    """Return a box in shares of the image."""
    x1, y1, x2, y2 = box.corners
    return LabelledBox(box.label, x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT)


def thousandths(box: LabelledBox) -> LabelledBox:
    """Return a box in thousandths of the image."""
    return LabelledBox.of(box.label, [1000 * side for side in shares(box).corners])


def swapped(box: LabelledBox) -> LabelledBox:
    """Return a box whose corners are swapped."""
    return box._replace(x1=box.x2, y1=box.y2, x2=box.x1, y2=box.y1)


def table(folder: Path, boxes: Sequence[LabelledBox]) -> Path:
    """Write images, each of which has two of the boxes, and a table of these."""
    for name in NAMES:
        image(folder / name)
    rows = [[NAMES[place // 2], *box.corners, box.label] for place, box in enumerate(boxes)]
    return write_csv(folder / "boxes.csv", HEADER, *rows)


def changed(change: _Change, first: int) -> list[LabelledBox]:
    """Return boxes for all images, of which so many are changed."""
    boxes = [CAT, DOG] * len(NAMES)
    return [*map(change, boxes[:first]), *boxes[first:]]


def error(data: Path) -> str:
    """Return the error of opening data."""
    with pytest.raises(DataError) as raised:
        opened(data)
    return str(raised.value)


def test_some_boxes_in_shares(tmp_path: Path) -> None:
    """They are kept, and named; boxes of one pixel or more are boxes."""
    boxes = changed(shares, 5)
    boxes[-1] = LabelledBox("cat", 10, 10, 11, 10.4)
    assert opened(table(tmp_path / "data", boxes)).warnings == (
        (
            "5 boxes are smaller than one pixel ('0.png', '1.png', '2.png'). Are they shares of "
            "the image's width and height, 0 to 1?"
        ),
    )
    assert opened(table(tmp_path / "one", changed(shares, 1))).warnings == (
        (
            "1 box is smaller than one pixel ('0.png'). Is it shares of the image's width and "
            "height, 0 to 1?"
        ),
    )


@pytest.mark.parametrize("number", [1.02, 1.2, 2])
def test_one_number_of_another_unit(tmp_path: Path, number: float) -> None:
    """The others are still noticed, and it is said which one it is."""
    boxes = changed(shares, 16)
    boxes[2] = boxes[2]._replace(x2=number)
    count = 16 if number == 1.02 else 15
    assert error(table(tmp_path / "data", boxes)) == (
        f"{count} of 16 boxes are smaller than one pixel ('0.png', '1.png', '2.png' and 5 more). "
        "Are they shares of the image's width and height, 0 to 1? All coordinates must be in the "
        f"same unit, and '1.png' has {number}. Correct it, or convert the others to pixels."
    )


def test_all_boxes_in_shares_are_read_as_such(tmp_path: Path) -> None:
    """Even if one leaves the image by a rounding."""
    boxes = changed(shares, 16)
    boxes[1] = boxes[1]._replace(x2=1.004)
    source = opened(table(tmp_path / "data", boxes))
    assert "so they are shares of the image's width and height" in source.understood[-1]
    assert source.warnings == ()


def test_most_boxes_outside_their_images(tmp_path: Path) -> None:
    """What is left would be learnt; a few of them are left out and counted."""
    data = table(tmp_path / "data", changed(thousandths, 16))
    assert error(data) == (
        "16 of 16 boxes are outside their image: in which unit are they? The largest coordinate is "
        "1000, in '0.png', which has 60 x 40 pixels. Convert them to pixels of the image, or to "
        "shares of its width and height, 0 to 1."
    )
    boxes = [*changed(thousandths, 16)[:12], LabelledBox("cat", 50, 30, 70, 45), *[CAT] * 3]
    assert error(table(tmp_path / "some", boxes)).startswith(
        "12 of 16 boxes are outside their image and 1 leaves it: in which unit are they?"
    )
    (warning,) = opened(table(tmp_path / "few", changed(thousandths, 3))).warnings
    assert warning == "Boxes outside the image, left out: 3 ('0.png', '1.png')."


def test_corners_in_coco(tmp_path: Path) -> None:
    """Where x, y, width and height are expected, most boxes leave their image."""
    wrong = [box._replace(x2=box.x1 + box.x2, y2=box.y1 + box.y2) for box in (CAT, DOG)]
    for name in NAMES:
        image(tmp_path / "data" / name)
    file = write_coco(tmp_path / "data/boxes.json", dict.fromkeys(NAMES, wrong))
    assert opened(file).warnings[-1] == (
        "8 of 16 boxes leave the image: are these x1, y1, x2, y2? COCO's are x, y, width, height."
    )


def test_boxes_of_larger_images(tmp_path: Path) -> None:
    """Many leave theirs, but few are outside."""
    boxes = [CAT, LabelledBox("dog", 30, 0, 66, 44)] * len(NAMES)
    assert opened(table(tmp_path / "data", boxes)).warnings[-1] == (
        "8 of 16 boxes leave the image: are they for images of another size?"
    )


def test_swapped_corners(tmp_path: Path) -> None:
    """Single ones are left out; many may be swapped columns."""
    question = (
        "boxes have the right or lower edge before the other one: are their columns swapped, or "
        "are these x, y, width and height?"
    )
    warnings = opened(table(tmp_path / "some", changed(swapped, 4))).warnings
    assert warnings[-1] == f"4 of 16 {question}"
    assert len(opened(table(tmp_path / "few", changed(swapped, 2))).warnings) == 1
    assert error(table(tmp_path / "all", changed(swapped, 16))).endswith(f" 16 of 16 {question}")
