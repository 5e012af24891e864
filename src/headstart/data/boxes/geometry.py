"""Place boxes in images as they are seen, and drop those that are not boxes of the image.

An annotation is for an image of the size that it declares. If that is the size of the image as it
is seen, its boxes stay as they are. If it is the size that the file stores, and the image is shown
with rows as columns (the EXIF orientations 5 to 8), the tool that wrote it ignored the orientation,
and boxes are turned with the image. With the other orientations, or if the image is square or the
annotation declares no size, nothing shows which way the tool saw it, and boxes are taken to be of
the image as it is seen. If both sides differ from it by the same factor, boxes are scaled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.arrays import Flags, Numbers
from headstart.data.boxes.annotations import BoxedImage
from headstart.data.boxes.image_sizes import ImageSize, read_sizes
from headstart.data.boxes.tally import Tally

# How much the factors of both sides may differ, and how much if that is less than a pixel.
_FACTOR, _FACTOR_ROUNDED = 0.01, 0.05
# Boxes that leave the image by less are rounded, not wrong.
_ROUNDING = 0.5
# The orientations that undo others; all other ones undo themselves.
_UNDONE = {6: 8, 8: 6}
# Smaller boxes have no pixels.
_LEAST = 0.01

BACKWARD = "Boxes whose right or lower edge is before the other one, left out"
OUTSIDE = "Boxes outside the image, left out"
LEAVING = "Boxes that leave the image, clipped"
"""What `Tally` counts of boxes that may not be what they were taken for."""

_Size = tuple[float, float]


def place_boxes(images: Sequence[BoxedImage], tally: Tally) -> list[BoxedImage]:
    """Return images with boxes in pixels of the image as it is seen.

    An image whose declared size does not fit its file is rejected. An image that cannot be read
    stays as it is: checking its file will say what is wrong with it.

    Args:
        images: The images, as their annotations have them.
        tally: Counts what is changed or dropped.
    """
    wanted = [number for number, image in enumerate(images) if not image.rejected]
    sizes = read_sizes([images[number].path for number in wanted])
    placed = list(images)
    for number, size in zip(wanted, sizes, strict=True):
        if size is not None:
            placed[number] = _placed(images[number], size, tally)
    return placed


def as_annotated(corners: Numbers, declared: _Size, size: ImageSize) -> Numbers:
    """Return boxes in the image as it is seen as an annotation of it would have them.

    This undoes `place_boxes`. If the annotation is for an image of another shape, boxes stay as
    they are.

    Args:
        corners: x1, y1, x2, y2 in pixels, shape (boxes, 4).
        declared: The width and height that the annotation says the image has.
        size: Those that it has.
    """
    frame = _frame(declared, size)
    if frame is None:
        return corners
    stored = _turned(corners, size.seen, _UNDONE.get(frame.orientation, frame.orientation))
    return np.asarray(stored / (*frame.scales, *frame.scales), np.float64)


def _placed(image: BoxedImage, size: ImageSize, tally: Tally) -> BoxedImage:
    frame = _frame(image.size, size)
    if frame is None:
        declared, seen = _written(image.size or size.seen), _written(size.seen)
        return replace(
            image, rejected=f"its boxes are for an image of {declared}, but it has {seen} pixels"
        )
    if not image.boxes:
        return image
    if frame.turns:
        tally.add("Images that are turned by their metadata, and their boxes too", image.image)
    if frame.is_scaled and not image.in_shares:
        kind = "Images of another size than their annotation says, to which boxes are scaled"
        tally.add(kind, image.image)
    corners = np.array([box.corners for box in image.boxes], np.float64)
    given = frame.given if image.in_shares else (1.0, 1.0)
    corners, kept = _checked(frame.apply(corners * (*given, *given)), size.seen, image.image, tally)
    boxes = [
        image.boxes[number]._replace(x1=x1, y1=y1, x2=x2, y2=y2)
        for number, (x1, y1, x2, y2) in zip(
            np.flatnonzero(kept).tolist(), corners[kept].tolist(), strict=True
        )
    ]
    different = list(dict.fromkeys(boxes))
    tally.add(
        "Boxes with the label and the place of another one, left out",
        image.image,
        len(boxes) - len(different),
    )
    return replace(image, boxes=different)


@dataclass(frozen=True)
class _Frame:
    """How the coordinates of an annotation become those of the image as it is seen.

    Attributes:
        given: The width and height of the image that the annotation means.
        scales: By what its x and y are multiplied.
        orientation: The orientation by which the image is then turned; 1 if it is not.
        stored: The size of the image before it is turned.
    """

    given: _Size
    scales: _Size
    orientation: int
    stored: _Size

    @property
    def turns(self) -> bool:
        """Whether boxes are turned."""
        return self.orientation != 1

    @property
    def is_scaled(self) -> bool:
        """Whether boxes are scaled."""
        return self.scales != (1.0, 1.0)

    def apply(self, corners: Numbers) -> Numbers:
        """Return boxes x1, y1, x2, y2 in the image as it is seen, shape (boxes, 4)."""
        return _turned(corners * (*self.scales, *self.scales), self.stored, self.orientation)


def _frame(declared: _Size | None, size: ImageSize) -> _Frame | None:
    """Return how an annotation is placed in an image; None if it is for one of another shape."""
    if declared is None or declared == size.seen:
        return _Frame(size.seen, (1.0, 1.0), 1, size.seen)
    if declared == size.stored:
        return _Frame(declared, (1.0, 1.0), size.orientation, size.stored)
    if factors := _scales(declared, size.seen):
        return _Frame(declared, factors, 1, size.seen)
    if size.is_transposed and (factors := _scales(declared, size.stored)):
        return _Frame(declared, factors, size.orientation, size.stored)
    return None


def _scales(declared: _Size, actual: _Size) -> _Size | None:
    """Return the factors of both sides if they are equal, but for the rounding of a size."""
    across, down = actual[0] / declared[0], actual[1] / declared[1]
    small, large = min(declared, actual), max(declared, actual)
    is_rounded = abs(large[1] * small[0] / large[0] - small[1]) < 1
    limit = _FACTOR_ROUNDED if is_rounded else _FACTOR
    return (across, down) if abs(across / down - 1) <= limit else None


def _turned(corners: Numbers, stored: _Size, orientation: int) -> Numbers:
    """Turn boxes as an EXIF orientation turns the image, whose stored size is given."""
    width, height = stored
    x1, y1, x2, y2 = corners.T
    left, top, right, bottom = width - x2, height - y2, width - x1, height - y1
    sides = {
        1: (x1, y1, x2, y2),
        2: (left, y1, right, y2),
        3: (left, top, right, bottom),
        4: (x1, top, x2, bottom),
        5: (y1, x1, y2, x2),
        6: (top, x1, bottom, x2),
        7: (top, left, bottom, right),
        8: (y1, left, y2, right),
    }
    return np.stack(sides[orientation], axis=1)


def _checked(
    corners: Numbers, seen: tuple[int, int], name: str, tally: Tally
) -> tuple[Numbers, Flags]:
    """Clip boxes to the image, and return with them which are boxes of the image."""
    width, height = seen
    finite = np.isfinite(corners).all(axis=1)
    corners = np.nan_to_num(corners, nan=0.0, posinf=0.0, neginf=0.0)
    x1, y1, x2, y2 = corners.T
    backward = finite & ((x2 < x1) | (y2 < y1))
    sound = finite & ~backward
    empty = sound & ((x2 - x1 < _LEAST) | (y2 - y1 < _LEAST))
    sound &= ~empty
    clipped = np.clip(corners, 0, (width, height, width, height))
    inside = ((clipped[:, 2:] - clipped[:, :2]) >= _LEAST).all(axis=1)
    moved = np.abs(clipped - corners).max(axis=1, initial=0)
    leaving = sound & inside & (moved > _ROUNDING)
    for kind, which in (
        ("Boxes with a coordinate that is not a number, left out", ~finite),
        (BACKWARD, backward),
        ("Boxes without width or height, left out", empty),
        (OUTSIDE, sound & ~inside),
        (LEAVING, leaving),
    ):
        tally.add(kind, name, int(which.sum()))
    return clipped, sound & inside


def _written(size: _Size) -> str:
    return f"{size[0]:g} x {size[1]:g}"
