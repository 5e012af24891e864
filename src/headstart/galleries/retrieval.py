"""Retrieval: images are looked up among others, such as each image of a gallery among the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from headstart.arrays import Flags, Floats, Numbers, Rows

# Similarities that are computed at a time, to bound memory.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class LabelledPoints:
    """Embeddings with labels and groups.

    Attributes:
        points: Embeddings of length 1, (images, dimensions).
        labels: The number of each image's label, (images,).
        groups: The number of each image's group, (images,); images of its own are not found.
    """

    points: Floats
    labels: Rows
    groups: Rows

    def __len__(self) -> int:
        return len(self.points)

    def take(self, rows: Rows) -> LabelledPoints:
        """Return some of the images."""
        return LabelledPoints(self.points[rows], self.labels[rows], self.groups[rows])


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What is found when images are looked up among others. Each has a row.

    Attributes:
        rank: The rank of the first image with the same label, from 1; 0 if no image has it.
        precision_at_r: The mean of the precisions down to each right image among the first R, where
            R images have the label (mAP@R; Musgrave et al., 2020); NaN if no image has it.
        same: The distance to the nearest image with the same label; infinite without one.
        other: The distance to the nearest image with another label; infinite without one.
        same_row: The row of the nearest image with the same label; -1 without one.
        other_row: The row of the nearest image with another label; -1 without one.
    """

    rank: Rows
    precision_at_r: Numbers
    same: Numbers
    other: Numbers
    same_row: Rows
    other_row: Rows

    def __len__(self) -> int:
        return len(self.rank)

    @classmethod
    def joined(cls, parts: Sequence[Retrieval]) -> Retrieval:
        """Return several results as one."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def recall(self, count: int) -> float:
        """Return the share of images with the same label among the first `count`, 0 to 1.

        Images whose label no other image has do not count; 0 if there are only such images.
        """
        known = self.rank[self.rank > 0]
        return float((known <= count).mean()) if len(known) else 0.0

    @property
    def map_at_r(self) -> float:
        """mAP@R, 0 to 1; 0 if no label has two images."""
        known = self.precision_at_r[~np.isnan(self.precision_at_r)]
        return float(known.mean()) if len(known) else 0.0


def retrieve(points: Floats, labels: Rows, groups: Rows, rows: Rows) -> Retrieval:
    """Look up some of the images among all others.

    Args:
        points: Embeddings of length 1, (images, dimensions).
        labels: The number of each image's label, (images,).
        groups: The number of each image's group, (images,); images of its own are not found.
        rows: The row numbers of the images to look up.
    """
    every = LabelledPoints(points, labels, groups)
    return look_up(every.take(rows), every)


def look_up(queries: LabelledPoints, others: LabelledPoints) -> Retrieval:
    """Look up images among others; those of the same group are not found.

    Args:
        queries: The images to look up.
        others: The images among which they are looked up.
    """
    size = max(1, _BLOCK // max(len(others), 1))
    starts = range(0, max(len(queries), 1), size)
    blocks = [np.arange(begin, min(begin + size, len(queries))) for begin in starts]
    return Retrieval.joined([_block(queries.take(block), others) for block in blocks])


def _block(queries: LabelledPoints, others: LabelledPoints) -> Retrieval:
    distances = 1 - queries.points @ others.points.T
    distances[queries.groups[:, np.newaxis] == others.groups] = np.inf
    same = queries.labels[:, np.newaxis] == others.labels
    found = np.isfinite(distances)
    own, own_row = _nearest(np.where(same, distances, np.inf))
    other, other_row = _nearest(np.where(same, np.inf, distances))
    return Retrieval(*_ranked(distances, same, found), own, other, own_row, other_row)


def _nearest(distances: Floats) -> tuple[Numbers, Rows]:
    """Return the smallest distance of each row and its column, -1 if all are infinite."""
    if not distances.size:
        empty = len(distances)
        return np.full(empty, np.inf), np.full(empty, -1)
    columns = distances.argmin(axis=1)
    least = distances[np.arange(len(distances)), columns].astype(np.float64)
    return least, np.where(np.isfinite(least), columns, -1)


def _ranked(distances: Floats, same: Flags, found: Flags) -> tuple[Rows, Numbers]:
    """Return the rank of the first image with the label, and the precision at R, (rows,).

    Args:
        distances: Infinite for images that are not found, (rows, images).
        same: Which images have the label, (rows, images).
        found: Which images are found, (rows, images).
    """
    counts = (same & found).sum(axis=1)
    ranks, precisions = np.zeros(len(distances), np.int64), np.full(len(distances), np.nan)
    for row in np.flatnonzero(counts).tolist():
        wanted = distances[row][same[row] & found[row]]
        # Images that are as near as the first right one come before it: ties are no merit.
        ranks[row] = 1 + int((distances[row][~same[row] & found[row]] <= wanted.min()).sum())
        precisions[row] = _precision_at_r(distances[row], same[row], int(counts[row]))
    return ranks, precisions


def _precision_at_r(distances: Floats, same: Flags, count: int) -> float:
    nearest = np.argpartition(distances, count - 1)[:count]
    nearest = nearest[np.argsort(distances[nearest], kind="stable")]
    right = same[nearest]
    return float((right * np.cumsum(right) / np.arange(1, count + 1)).sum() / count)
