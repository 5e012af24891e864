"""Labelled boxes in an image, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Corners, Flags, Numbers, Rows


@dataclass(frozen=True)
class Boxes:
    """The true boxes of an image.

    Attributes:
        corners: x1, y1, x2, y2 of each box in pixels of the image as it is seen, that is, after
            its EXIF orientation; shape (boxes, 4), float32. A pixel's left edge is its column's
            number, so that a box around a whole image is (0, 0, width, height).
        classes: The class number of each box, shape (boxes,), int64.
        crowd: Whether a box is around a crowd of objects, in and around which detections are
            neither right nor wrong; shape (boxes,).
    """

    corners: Corners
    classes: Rows
    crowd: Flags

    def __len__(self) -> int:
        return len(self.corners)

    @classmethod
    def none(cls) -> "Boxes":
        """Return the boxes of an image without any."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))

    def renumbered(self, numbers: Rows) -> "Boxes":
        """Return the boxes with other class numbers.

        Args:
            numbers: The new number of each class; -1 if its boxes are left out. Shape (classes,).
        """
        classes = numbers[self.classes]
        kept = classes >= 0
        return Boxes(self.corners[kept], classes[kept], self.crowd[kept])


@dataclass(frozen=True)
class Detections:
    """The predicted boxes of an image, the most probable first.

    Attributes:
        corners: As of `Boxes`.
        classes: The class number of each box, shape (boxes,), int64.
        scores: The probability of each box, 0 to 1, shape (boxes,), float64.
    """

    corners: Corners
    classes: Rows
    scores: Numbers

    def __len__(self) -> int:
        return len(self.corners)

    @classmethod
    def none(cls) -> "Detections":
        """Return the detections in an image without any."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float64))

    def above(self, thresholds: Numbers) -> "Detections":
        """Return the detections whose probability reaches the threshold of their class.

        Args:
            thresholds: One per class, shape (classes,).
        """
        return self.take(self.scores >= thresholds[self.classes])

    def renumbered(self, numbers: Rows) -> "Detections":
        """Return the detections with other class numbers; see `Boxes.renumbered`."""
        classes = numbers[self.classes]
        kept = classes >= 0
        return Detections(self.corners[kept], classes[kept], self.scores[kept])

    @classmethod
    def joined(cls, parts: Sequence["Detections"]) -> "Detections":
        """Return the detections of several parts of an image, part by part."""
        return cls(
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )

    def take(self, kept: Flags | Rows) -> "Detections":
        """Return the detections that are marked, shape (boxes,), or whose numbers are given."""
        return Detections(self.corners[kept], self.classes[kept], self.scores[kept])
