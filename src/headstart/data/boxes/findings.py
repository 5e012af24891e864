"""What the boxes of a data set are like: how many, how large, and which may be the same object."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headstart.arrays import Numbers
from headstart.data.boxes.labels import LabelledBox, read_boxes
from headstart.data.manifest import usable

# COCO's limits between small, medium and large boxes, in square pixels.
_SMALL, _LARGE = 32.0**2, 96.0**2
_ALIKE = 0.9
_ROUNDING = 1e-9
_ROWS = 512


@dataclass(frozen=True)
class Quartiles:
    """The distribution of a number.

    Attributes:
        least: The smallest value.
        lower: A quarter of the values are at most this.
        median: Half of the values are at most this.
        upper: Three quarters of the values are at most this.
        most: The largest value.
    """

    least: float
    lower: float
    median: float
    upper: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float] | Numbers) -> "Quartiles":
        """Return the distribution of values, of which there is at least one."""
        return cls(*np.quantile(np.asarray(values, np.float64), (0, 0.25, 0.5, 0.75, 1)).tolist())


@dataclass(frozen=True)
class DoubleBox:
    """Two boxes of a class at nearly the same place, which may be the same object.

    Attributes:
        image: The name of the image.
        label: The class.
        iou: The area of their intersection as a share of that of their union.
    """

    image: str
    label: str
    iou: float


@dataclass(frozen=True)
class BoxFindings:
    """What the boxes of a data set are like. Boxes around crowds count only as such.

    Attributes:
        images: The number of images.
        boxes: The number of boxes.
        crowds: The number of boxes around crowds.
        background: The number of images without any box.
        per_image: The number of boxes of an image; None without images.
        sides: The square root of the area of a box as a share of that of its image, 0 to 1, which
            is the share of its sides; None without boxes.
        small: The number of boxes of less than 32 x 32 pixels, as COCO counts them.
        medium: The number of the others of at most 96 x 96 pixels.
        large: The number of the others.
        by_class: The number of boxes of each class, the most frequent first.
        images_by_class: The number of images with each class, in the same order.
        doubles: Pairs of boxes of a class whose intersection is at least 0.9 of their union, those
            most alike first.
    """

    images: int
    boxes: int
    crowds: int
    background: int
    per_image: Quartiles | None
    sides: Quartiles | None
    small: int
    medium: int
    large: int
    by_class: tuple[tuple[str, int], ...]
    images_by_class: tuple[tuple[str, int], ...]
    doubles: tuple[DoubleBox, ...]


def find_in_boxes(table: pa.Table) -> BoxFindings:
    """Return what the boxes of images are like.

    Args:
        table: The images' rows of the manifest; rejected ones are not counted.
    """
    rows = usable(table).select(["image", "label", "width", "height"]).to_pylist()
    counts: list[int] = []
    areas: list[float] = []
    shares: list[float] = []
    by_class: Counter[str] = Counter()
    images_by_class: Counter[str] = Counter()
    doubles: list[DoubleBox] = []
    crowds = background = 0
    for row in rows:
        every = read_boxes(row["label"] or "[]")
        boxes = [box for box in every if not box.crowd]
        crowds += len(every) - len(boxes)
        background += not every
        counts.append(len(boxes))
        areas += [_area(box) for box in boxes]
        pixels = (row["width"] or 0) * (row["height"] or 0)
        shares += [_area(box) / pixels for box in boxes if pixels]
        by_class.update(box.label for box in boxes)
        images_by_class.update({box.label for box in boxes})
        doubles += _doubles(row["image"], boxes)
    ordered = sorted(by_class.items(), key=lambda item: (-item[1], item[0]))
    return BoxFindings(
        images=len(rows),
        boxes=len(areas),
        crowds=crowds,
        background=background,
        per_image=Quartiles.of(counts) if counts else None,
        sides=Quartiles.of(np.sqrt(shares)) if shares else None,
        small=sum(area < _SMALL for area in areas),
        medium=sum(_SMALL <= area <= _LARGE for area in areas),
        large=sum(area > _LARGE for area in areas),
        by_class=tuple(ordered),
        images_by_class=tuple((name, images_by_class[name]) for name, _ in ordered),
        doubles=tuple(sorted(doubles, key=lambda one: -one.iou)),
    )


def _area(box: LabelledBox) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)


def _doubles(image: str, boxes: Sequence[LabelledBox]) -> list[DoubleBox]:
    """Return the pairs of boxes of an image that may be the same object."""
    found: list[DoubleBox] = []
    for label in dict.fromkeys(box.label for box in boxes):
        corners = np.array([box.corners for box in boxes if box.label == label])
        for first in range(0, len(corners), _ROWS):  # So that memory does not grow as a square.
            ious = _ious(corners[first : first + _ROWS], corners)
            rows, columns = np.nonzero(ious >= _ALIKE - _ROUNDING)
            above = columns > rows + first
            pairs = zip(rows[above].tolist(), columns[above].tolist(), strict=True)
            found += [DoubleBox(image, label, float(ious[row, column])) for row, column in pairs]
    return found


def _ious(first: Numbers, second: Numbers) -> Numbers:
    """Return intersection over union of each pair of boxes, shape (first, second)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (first, second)]
    together: Numbers = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / together, np.float64)
