"""Nearest neighbours of images by their features, and clusters of near images."""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from headstart.arrays import Features, Floats, Rows, Targets

MAX_CLUSTERED = 4000
"""The largest class that can be clustered: all pairs of its images are compared."""

# Images that are compared with the sample at a time, so that no copy of all features is made.
_BLOCK = 1024
# See docs/decisions/validation.md.
_QUANTILE, _MAX_SHARE = 0.4, 1 / 3


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of a sample of images.

    Distances are those of features that were centred and scaled to length 1, 0 to 2.

    Attributes:
        rows: The sample.
        nearest: The nearest image of the same class and another known group; -1 if none.
        near: The distance to it; infinite if none.
        typical: The distance to the same class as a whole, by the mean similarity to its images.
        other: The distance to the nearest image of another class; infinite if none.
    """

    rows: Rows
    nearest: Rows
    near: Floats
    typical: Floats
    other: Floats


def find_neighbours(features: Features, targets: Targets, known: Rows, rows: Rows) -> Neighbours:
    """Compare a sample of images with all images, a block at a time.

    Args:
        features: Shape (images, width).
        targets: The class number of each image, shape (images,).
        known: The number of each image's known group, shape (images,).
        rows: The sample.
    """
    centre = features[rows].mean(axis=0, dtype=np.float32)
    sample = _directions(features[rows], centre)
    nearest, total = np.full(len(rows), -1), np.zeros(len(rows), np.float32)
    near, other = np.full((2, len(rows)), -np.inf, np.float32)
    for start in range(0, len(features), _BLOCK):
        block = slice(start, start + _BLOCK)
        similarity = sample @ _directions(features[block], centre).T
        same = targets[rows, np.newaxis] == targets[block]
        total += similarity.sum(axis=1, where=same)
        other = np.maximum(other, np.where(same, -np.inf, similarity).max(axis=1))
        similarity[~same | (known[rows, np.newaxis] == known[block])] = -np.inf
        best = similarity.argmax(axis=1)
        found = similarity[np.arange(len(rows)), best]
        nearest = np.where(found > near, start + best, nearest)
        near = np.maximum(found, near)
    typical: Floats = (total / np.bincount(targets)[targets[rows]]).astype(np.float32)
    return Neighbours(rows, nearest, _distance(near), _distance(typical), _distance(other))


def cluster(features: Features, targets: Targets, neighbours: Neighbours) -> Rows | None:
    """Cluster the images of each class by average linkage.

    Clusters are merged up to the distance that 40% of a sample have to another class, and contain
    at most a third of their class.

    Args:
        features: Shape (images, width).
        targets: The class number of each image, shape (images,).
        neighbours: The neighbours of a sample.

    Returns:
        The number of each image's cluster, shape (images,); None if a class has more than 4,000
        images.
    """
    if np.bincount(targets).max() > MAX_CLUSTERED:
        return None
    centre = features[neighbours.rows].mean(axis=0, dtype=np.float32)
    highest = float(np.quantile(neighbours.other, _QUANTILE))
    clusters = np.zeros(len(targets), np.int64)
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        labels = _cut(_directions(features[rows], centre), highest)
        clusters[rows] = labels + clusters.max() + 1
    return clusters


def _cut(directions: Features, highest: float) -> Rows:
    """Return the cluster of each image of a class."""
    count = len(directions)
    if count < 2:
        return np.zeros(count, np.int64)
    distances = _distance(directions @ directions.T)
    tree = linkage(squareform(distances, checks=False), "average")
    heights, sizes = tree[:, 2], tree[:, 3]
    too_large = heights[sizes > max(2, _MAX_SHARE * count)]
    lowest = np.nextafter(too_large.min(initial=np.inf), 0)
    return np.asarray(fcluster(tree, min(highest, lowest), "distance"), np.int64)


def _directions(features: Features, centre: Features) -> Features:
    """Return features relative to a centre, scaled to length 1."""
    centred = features.astype(np.float32) - centre
    directions: Features = centred / np.maximum(
        np.linalg.norm(centred, axis=1, keepdims=True), 1e-12
    )
    return directions


def _distance(similarity: Floats) -> Floats:
    return np.sqrt(np.maximum(2 - 2 * similarity, 0))
