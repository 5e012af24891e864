"""Which detections of a class are right, at each IoU threshold, as COCOeval matched them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.arrays import Flags, Numbers, Rows

IOU_THRESHOLDS: Numbers = np.linspace(0.5, 0.95, 10)
"""The overlaps at which COCO measures average precision."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The detections of one class in all images, the most probable first.

    Attributes:
        rows: The row number of the image of each detection, shape (detections,).
        scores: The probability of each detection, shape (detections,).
        matched: Which detections have a true box, shape (IoU thresholds, detections).
        ignored: Which detections do not count, because they lie in a crowd; same shape.
        boxes: The number of true boxes in each image, without crowds, shape (images,).
    """

    rows: Rows
    scores: Numbers
    matched: Flags
    ignored: Flags
    boxes: Rows

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any] | None]) -> ClassMatches:
        """Return the matches of a class.

        Args:
            results: COCOeval's results of each image; None for an image without boxes.
        """
        found = [(row, result) for row, result in enumerate(results) if result is not None]
        nothing = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)
        scores = np.concatenate([np.zeros(0), *(result["dtScores"] for _, result in found)])
        counts = [len(result["dtScores"]) for _, result in found]
        rows = np.repeat(np.array([row for row, _ in found], np.int64), counts)
        matched = np.hstack([nothing, *(result["dtMatches"] > 0 for _, result in found)])
        ignored = np.hstack([nothing, *(result["dtIgnore"] for _, result in found)])
        boxes = np.zeros(len(results), np.int64)
        for row, result in found:
            boxes[row] = np.count_nonzero(result["gtIgnore"] == 0)
        # The order of COCOeval, which is stable.
        order = np.argsort(-scores, kind="mergesort")
        return cls(rows[order], scores[order], matched[:, order], ignored[:, order], boxes)

    @property
    def total(self) -> int:
        """The number of true boxes in all images."""
        return int(self.boxes.sum())

    def hits(self, threshold: int = 0) -> Flags:
        """Return which detections are right, (detections,).

        Args:
            threshold: The number of the IoU threshold; 0.5 by default.
        """
        return np.asarray(self.matched[threshold] & ~self.ignored[threshold])

    def false_alarms(self, threshold: int = 0) -> Flags:
        """Return which detections are wrong, (detections,); see `hits`."""
        return np.asarray(~self.matched[threshold] & ~self.ignored[threshold])
