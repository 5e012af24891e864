"""Mean average precision of weighted images, for many sets of weights at once.

COCOeval matches detections to true boxes once. What a bootstrap resample changes is only how often
each image counts, so COCOeval's accumulation is repeated here for all resamples together. With
weights of 1, precisions are those of COCOeval to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.boxes.class_matches import IOU_THRESHOLDS, ClassMatches

RECALL_LEVELS: Numbers = np.linspace(0, 1, 101)
"""The levels of recall at which COCO reads precision."""

_LEVELS = len(RECALL_LEVELS)
_SMALLEST = np.spacing(1)


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Mean average precision as a metric of weighted images (`weighted_metrics.Metric`).

    Attributes:
        matches: The detections of each class.
        images: The number of images.
        at: The numbers of the IoU thresholds to average over.
    """

    matches: tuple[ClassMatches, ...]
    images: int
    at: tuple[int, ...] = tuple(range(len(IOU_THRESHOLDS)))

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the mean over classes with true boxes for each set of weights, (sets,)."""
        by_class = np.array(
            [
                np.mean([one.mean(axis=1) for one in _precisions(each, weights, self.at)], axis=0)
                for each in self.matches
            ]
        ).reshape(-1, len(weights))
        present = np.array([weights @ each.boxes > 0 for each in self.matches]).reshape(
            by_class.shape
        )
        count = present.sum(axis=0)
        total = np.where(present, by_class, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def take(self, rows: Rows) -> AveragePrecision:
        """Return the same metric of some of the images."""
        matches = tuple(_taken(each, rows) for each in self.matches)
        return replace(self, matches=matches, images=len(rows))


def precisions(matches: Sequence[ClassMatches], weights: Numbers) -> Numbers:
    """Return the precision at each level of recall, as COCOeval does.

    Args:
        matches: The detections of each class.
        weights: How often each image counts, whole numbers, shape (sets, images).

    Returns:
        Shape (sets, IoU thresholds, 101, classes); -1 for a class without true boxes.
    """
    every = range(len(IOU_THRESHOLDS))
    found = np.full((len(weights), len(every), _LEVELS, len(matches)), -1.0)
    for category, each in enumerate(matches):
        present = weights @ each.boxes > 0
        for threshold, values in zip(every, _precisions(each, weights, every), strict=True):
            found[present, threshold, :, category] = values[present]
    return found


def average_precision(scores: Numbers, hits: Flags, boxes: int) -> float:
    """Return the average precision of a class at one IoU threshold, as COCOeval does.

    Args:
        scores: The probability of each detection that counts, shape (detections,).
        hits: Which of them are right, shape (detections,).
        boxes: The number of true boxes, at least 1.
    """
    order = np.argsort(-scores, kind="mergesort")
    tp = np.cumsum(hits[order], dtype=np.float64)[np.newaxis]
    all_ = np.arange(1, len(order) + 1, dtype=np.float64)[np.newaxis]
    return float(_at_levels(tp, all_, np.array([float(boxes)])).mean())


def _precisions(matches: ClassMatches, weights: Numbers, at: Sequence[int]) -> Iterator[Numbers]:
    """Yield the precision at each level of recall, (sets, 101), for each IoU threshold."""
    boxes = weights @ matches.boxes.astype(np.float64)
    hits = [np.flatnonzero(matches.hits(threshold)) for threshold in at]
    # Detections after the last right one at any threshold change nothing.
    end = max((int(each[-1]) + 1 for each in hits if len(each)), default=0)
    drawn = weights[:, matches.rows[:end]]
    reached = np.cumsum(drawn, axis=1)
    for threshold, each in zip(at, hits, strict=True):
        ignored = np.flatnonzero(matches.ignored[threshold, :end])
        counted = reached[:, each] - _down_to(each, ignored, drawn)
        yield _at_levels(np.cumsum(drawn[:, each], axis=1), counted, boxes)


def _down_to(positions: Rows, ignored: Rows, drawn: Numbers) -> Numbers:
    """Return how many ignored detections are above each position, (sets, positions)."""
    above = np.zeros((len(drawn), len(ignored) + 1))
    np.cumsum(drawn[:, ignored], axis=1, out=above[:, 1:])
    return above[:, np.searchsorted(ignored, positions)]


def _at_levels(tp: Numbers, all_: Numbers, boxes: Numbers) -> Numbers:
    """Return the highest precision at each level of recall or above, (sets, 101).

    Args:
        tp: The number of right detections down to each right one, (sets, right detections). Other
            detections may be among them.
        all_: The number of all detections down to the same ones, same shape.
        boxes: The number of true boxes in each set, (sets,).
    """
    sets = len(tp)
    precision = tp / (all_ + _SMALLEST)
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = tp / np.maximum(boxes, 1)[:, np.newaxis]
    # Levels that are not reached have a precision of 0.
    padded = np.hstack([highest, np.zeros((sets, 1))])
    return np.take_along_axis(padded, _first_at_levels(recall), axis=1)


def _first_at_levels(recall: Numbers) -> Rows:
    """Return the first position at which each level of recall is reached, (sets, 101).

    Args:
        recall: In ascending order, (sets, positions).
    """
    sets = len(recall)
    levels = np.searchsorted(RECALL_LEVELS, recall.ravel(), side="right").reshape(recall.shape)
    levels += (_LEVELS + 1) * np.arange(sets)[:, np.newaxis]
    positions = np.bincount(levels.ravel(), minlength=sets * (_LEVELS + 1))
    return np.cumsum(positions.reshape(sets, -1), axis=1)[:, :_LEVELS]


def _taken(matches: ClassMatches, rows: Rows) -> ClassMatches:
    """Return the matches in some of the images."""
    position = np.full(len(matches.boxes), -1)
    position[rows] = np.arange(len(rows))
    kept = position[matches.rows] >= 0
    return ClassMatches(
        position[matches.rows[kept]],
        matches.scores[kept],
        matches.matched[:, kept],
        matches.ignored[:, kept],
        matches.boxes[rows],
    )
