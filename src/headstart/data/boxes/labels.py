"""The boxes of an image as one text, the label of its row in the manifest.

Only this module writes and reads that text. It is a JSON list with an item for each box,
`["raccoon",81,88,522,408]`, and with a last item 1 if the box is around a crowd. "[]" is an image
without boxes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from headstart.boxes import Boxes
from headstart.data.labels import normalised

# A thousandth of a pixel is more than any tool that draws boxes knows.
_DECIMALS = 4


class LabelledBox(NamedTuple):
    """A box with its label.

    Attributes:
        label: The name of its class.
        x1: Left edge in pixels; 0 is the left edge of the image.
        y1: Top edge.
        x2: Right edge; the width of the image is its right edge.
        y2: Bottom edge.
        crowd: Whether it is around a crowd of objects, not around one.
    """

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    crowd: bool = False

    @classmethod
    def of(cls, label: str, corners: Iterable[float], *, crowd: bool = False) -> "LabelledBox":
        """Return a box with x1, y1, x2, y2."""
        x1, y1, x2, y2 = corners
        return cls(label, x1, y1, x2, y2, crowd)

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2."""
        return self.x1, self.y1, self.x2, self.y2


def write_boxes(boxes: Sequence[LabelledBox]) -> str:
    """Write the boxes of an image, with coordinates in pixels of the image as it is seen."""
    items = [[box.label, *map(_number, box.corners), *([1] if box.crowd else [])] for box in boxes]
    return json.dumps(items, ensure_ascii=False, separators=(",", ":"))


def read_boxes(text: str) -> list[LabelledBox]:
    """Read what `write_boxes` wrote."""
    return [
        LabelledBox.of(item[0], map(float, item[1:5]), crowd=len(item) > 5)
        for item in json.loads(text)
    ]


def labels_in(text: str) -> set[str]:
    """Return the labels of the boxes that `write_boxes` wrote."""
    return {item[0] for item in json.loads(text)}


def boxes_of(text: str, classes: Sequence[str]) -> Boxes:
    """Return what `write_boxes` wrote as arrays, without boxes of other classes.

    Args:
        text: The boxes.
        classes: The names of the classes, by their numbers.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    items = [item for item in json.loads(text) if item[0] in numbers]
    if not items:
        return Boxes.none()
    return Boxes(
        corners=np.array([item[1:5] for item in items], np.float32),
        classes=np.array([numbers[item[0]] for item in items], np.int64),
        crowd=np.array([len(item) > 5 for item in items], np.bool_),
    )


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return boxes with other names of their labels, without those that have none.

    Args:
        text: The boxes.
        names: The new name of each label to keep.
    """
    boxes = read_boxes(text)
    return write_boxes(
        [box._replace(label=names[box.label]) for box in boxes if box.label in names]
    )


def class_name(name: object) -> str:
    """Return a label in Unicode's composed form, without spaces around it."""
    return writable(normalised(str(name).strip()))


def writable(text: str) -> str:
    """Return a text with escapes in place of characters that no file can have, as JSON's may."""
    return text.encode("utf-8", "backslashreplace").decode()


def all_labels(texts: Iterable[str]) -> set[str]:
    """Return the labels of the boxes of several images."""
    return set().union(*map(labels_in, texts))


def _number(value: float) -> float:
    """Return a coordinate that takes little room in JSON."""
    rounded = round(float(value), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded
