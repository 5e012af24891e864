"""Which detections in an image are right at IoU 0.5, and which true boxes they find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers, Rows
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.overlaps import overlaps

ENOUGH = 0.5
"""The overlap (intersection over union) with a true box of its class that makes a box right."""


@dataclass(frozen=True, eq=False)
class ImageMatches:
    """The detections in an image and its true boxes, matched as COCO does.

    Attributes:
        overlap: Intersection over union, shape (detections, true boxes).
        box: The number of the true box of each detection; -1 without one. Shape (detections,).
        right: Which detections have a true box that is not a crowd, shape (detections,).
        ignored: Which detections are in a crowd and do not count, shape (detections,).
        found: Which true boxes have a detection, shape (true boxes,).
        missed: Which true boxes have none, without crowds, shape (true boxes,).
    """

    overlap: Numbers
    box: Rows
    right: Flags
    ignored: Flags
    found: Flags
    missed: Flags

    @property
    def wrong(self) -> Flags:
        """Which detections are false alarms, shape (detections,)."""
        return ~self.right & ~self.ignored

    @property
    def errors(self) -> int:
        """The number of false alarms and missed boxes."""
        return int(self.wrong.sum() + self.missed.sum())


def match_image(truth: Boxes, detections: Detections) -> ImageMatches:
    """Match detections, the most probable first, to the true boxes that they overlap most.

    A true box has one detection at most; any number may be in a crowd.
    """
    overlap = overlaps(detections.corners, truth)
    same = detections.classes[:, np.newaxis] == truth.classes
    possible = same & (overlap >= ENOUGH)
    box, found = np.full(len(detections), -1), np.zeros(len(truth), np.bool_)
    for number in np.flatnonzero(possible.any(axis=1)):
        free = possible[number] & ~found & ~truth.crowd
        candidates = free if free.any() else possible[number] & truth.crowd
        if candidates.any():
            # Of equal overlaps, COCOeval takes the last.
            values = np.where(candidates, overlap[number], -1.0)
            best = len(values) - 1 - int(values[::-1].argmax())
            box[number], found[best] = best, True
    in_crowd = np.zeros(len(detections), np.bool_)
    in_crowd[box >= 0] = truth.crowd[box[box >= 0]]
    return ImageMatches(
        overlap=overlap,
        box=box,
        right=(box >= 0) & ~in_crowd,
        ignored=in_crowd,
        found=found,
        missed=~found & ~truth.crowd,
    )
