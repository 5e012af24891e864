"""Kinds of errors, as TIDE has them (Bolya, Foley, Hays and Hoffman, 2020).

A wrong detection is, in this order: badly located (its best true box of the same class overlaps by
0.1 to 0.5), of the wrong class (a box of another class overlaps by 0.5), a duplicate (its true box
has a more probable detection), on the background (no box overlaps by 0.1), or both badly located
and of the wrong class. A true box is missed if nothing finds it, and no detection of it is badly
located or of the wrong class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from headstart.arrays import Flags, Numbers, Rows
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.average_precision import average_precision
from headstart.evaluation.boxes.coco_metrics import MAX_DETECTIONS
from headstart.evaluation.boxes.matching import ENOUGH, ImageMatches, match_image
from headstart.record import BoxErrors, ErrorKind

KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)
"""All kinds, in the order of the record."""

_Kind = TypeVar("_Kind", bound=np.generic)

BACKGROUND = 0.1
"""With less overlap (intersection over union), a detection has nothing to do with a true box."""


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """What is wrong with the detections in an image.

    Attributes:
        matches: Which detections are right.
        kinds: The kind of each wrong detection; None for one that is right or does not count.
        target: The number of the true box that a badly located detection or one of the wrong class
            is meant for; -1 for others. Shape (detections,).
        missed: Which true boxes are missed, shape (true boxes,). Boxes that are not found but have
            a detection that is badly located or of the wrong class are not among them.
    """

    matches: ImageMatches
    kinds: tuple[ErrorKind | None, ...]
    target: Rows
    missed: Flags

    def count(self, kind: ErrorKind) -> int:
        """Return the number of errors of a kind."""
        return int(self.missed.sum()) if kind == "missed" else self.kinds.count(kind)


def find_errors(truth: Boxes, detections: Detections) -> ImageErrors:
    """Return what is wrong with the detections in an image, the most probable first."""
    matches = match_image(truth, detections)
    overlap = np.where(truth.crowd, 0.0, matches.overlap)
    same = detections.classes[:, np.newaxis] == truth.classes
    kinds: list[ErrorKind | None] = [None] * len(detections)
    target = np.full(len(detections), -1)
    for number in np.flatnonzero(matches.wrong):
        kinds[number], target[number] = _kind(overlap[number], same[number])
    missed = matches.missed.copy()
    missed[target[target >= 0]] = False
    return ImageErrors(matches, tuple(kinds), target, missed)


def _kind(overlap: Numbers, same: Flags) -> tuple[ErrorKind, int]:
    """Return the kind of a wrong detection, and the number of the box that it is meant for."""
    if not len(overlap):
        return "background", -1
    own, other = np.where(same, overlap, 0.0), np.where(same, 0.0, overlap)
    if BACKGROUND <= own.max() < ENOUGH:
        return "localisation", int(own.argmax())
    if other.max() >= ENOUGH:
        return "class", int(other.argmax())
    if own.max() >= ENOUGH:
        return "duplicate", -1
    return ("both" if other.max() >= BACKGROUND else "background"), -1


def measure_errors(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    classes: int,
    thresholds: Numbers,
) -> tuple[BoxErrors, ...]:
    """Count the errors of each kind, and compute what correcting them would be worth.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image, with those below the thresholds.
        classes: The number of classes.
        thresholds: The probability from which boxes of each class are predicted, (classes,).
    """
    shown = [
        find_errors(truth, each.above(thresholds))
        for truth, each in zip(truths, detections, strict=True)
    ]
    pool = _Pool.of(truths, [_capped(each, classes) for each in detections], classes)
    before = pool.ap50()
    return tuple(
        BoxErrors(
            kind,
            sum(errors.count(kind) for errors in shown),
            None if before is None else (pool.corrected(kind).ap50() or 0.0) - before,
        )
        for kind in KINDS
    )


def _capped(detections: Detections, classes: int) -> Detections:
    """Return the detections that COCO counts."""
    order = np.argsort(-detections.scores, kind="stable")
    rank = np.zeros(len(order), np.int64)
    for category in range(classes):
        own = order[detections.classes[order] == category]
        rank[own] = np.arange(len(own))
    kept = order[rank[order] < MAX_DETECTIONS]
    return Detections(detections.corners[kept], detections.classes[kept], detections.scores[kept])


@dataclass(frozen=True, eq=False)
class _Pool:
    """The detections in all images that count, in the order of the images.

    Attributes:
        scores: The probability of each, shape (detections,).
        classes: The class of each, shape (detections,).
        right: Which are right, shape (detections,).
        kinds: The number of the kind of the wrong ones; -1 for others. Shape (detections,).
        target: The number of the true box in all images that a wrong one is meant for; -1 without
            one. Shape (detections,).
        box_classes: The class of each true box, shape (true boxes,).
        found: Which true boxes are found, shape (true boxes,).
        missed: Which true boxes are missed, shape (true boxes,).
        boxes: The number of true boxes of each class, shape (classes,).
        measured: Which classes have true boxes, shape (classes,).
    """

    scores: Numbers
    classes: Rows
    right: Flags
    kinds: Rows
    target: Rows
    box_classes: Rows
    found: Flags
    missed: Flags
    boxes: Rows
    measured: Flags

    @classmethod
    def of(cls, truths: Sequence[Boxes], detections: Sequence[Detections], classes: int) -> _Pool:
        errors = [find_errors(truth, each) for truth, each in zip(truths, detections, strict=True)]
        starts = np.cumsum([0, *map(len, truths)])
        numbers: dict[ErrorKind | None, int] = {kind: at for at, kind in enumerate(KINDS)}
        counted = _joined([~each.matches.ignored for each in errors], np.bool_)
        target = [
            np.where(each.target >= 0, each.target + start, -1)
            for each, start in zip(errors, starts, strict=False)
        ]
        kinds = [numbers.get(kind, -1) for each in errors for kind in each.kinds]
        box_classes = _joined([truth.classes for truth in truths], np.int64)
        crowd = _joined([truth.crowd for truth in truths], np.bool_)
        boxes = np.bincount(box_classes[~crowd], minlength=classes)
        return cls(
            scores=_joined([each.scores for each in detections], np.float64)[counted],
            classes=_joined([each.classes for each in detections], np.int64)[counted],
            right=_joined([each.matches.right for each in errors], np.bool_)[counted],
            kinds=np.array(kinds, np.int64)[counted],
            target=_joined(target, np.int64)[counted],
            box_classes=box_classes,
            found=_joined([each.matches.found for each in errors], np.bool_),
            missed=_joined([each.missed for each in errors], np.bool_),
            boxes=boxes,
            measured=boxes > 0,
        )

    def ap50(self) -> float | None:
        """Return the mean AP50 of the classes that have true boxes; None without any."""
        values = [self._class_ap50(category) for category in np.flatnonzero(self.measured).tolist()]
        return float(np.mean(values)) if values else None

    def _class_ap50(self, category: int) -> float:
        if not self.boxes[category]:  # All boxes were missed, which has been corrected.
            return 1.0
        own = self.classes == category
        return average_precision(self.scores[own], self.right[own], int(self.boxes[category]))

    def corrected(self, kind: ErrorKind) -> _Pool:
        """Return the detections as they would be without the errors of a kind."""
        if kind == "missed":
            missed = np.bincount(self.box_classes[self.missed], minlength=len(self.boxes))
            return replace(self, boxes=self.boxes - missed)
        wrong = self.kinds == KINDS.index(kind)
        mended = self._mended(wrong)
        kept = ~wrong | mended
        classes = self.classes.copy()
        classes[mended] = self.box_classes[self.target[mended]]
        return replace(
            self,
            scores=self.scores[kept],
            classes=classes[kept],
            right=(self.right | mended)[kept],
            kinds=self.kinds[kept],
            target=self.target[kept],
        )

    def _mended(self, wrong: Flags) -> Flags:
        """Return which errors become right: of each box not found, the most probable one."""
        mended = np.zeros(len(wrong), np.bool_)
        meant = np.flatnonzero(wrong & (self.target >= 0))
        meant = meant[~self.found[self.target[meant]]]
        meant = meant[np.argsort(-self.scores[meant], kind="stable")]
        _, first = np.unique(self.target[meant], return_index=True)
        mended[meant[first]] = True
        return mended


def _joined(arrays: Sequence[NDArray[_Kind]], kind: type[_Kind]) -> NDArray[_Kind]:
    """Return the arrays of all images as one; without images, an empty one."""
    return np.concatenate([np.zeros(0, kind), *arrays])
