"""Which images to label next, and which ones look alike."""

import numpy as np
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
from sklearn.decomposition import PCA

from headstart.arrays import Features, Floats, Probabilities, Rows

_ALIKE = 30
"""About so many images are in a group of those that look alike."""


_DIMENSIONS = 64
_FITTED = 2_000
"""Principal components of so many images are almost those of all."""


def points_of(features: Features, *, seed: int = 0) -> Floats:
    """Return images as points, of which near ones look alike, (images, at most 64).

    They are the principal components of features of length 1, whose distances are angles.

    Args:
        features: Shape (images, width).
        seed: Seed of the sample from which the components are learnt.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)
    if min(directions.shape) <= _DIMENSIONS:
        return directions
    sample = np.random.default_rng(seed).permutation(len(directions))[:_FITTED]
    fit = PCA(_DIMENSIONS, svd_solver="randomized", random_state=seed).fit(directions[sample])
    return np.asarray(fit.transform(directions), dtype=np.float32)


def next_to_label(points: Floats, doubts: Floats | None, count: int, *, seed: int = 0) -> Rows:
    """Return images that teach most: about which the model is unsure, and no two of them alike.

    Each is drawn with a probability that grows with its distance from those before it and with the
    doubt about it (k-means++ of weighted images). The idea is that of Prabhu et al., "Active domain
    adaptation via clustering uncertainty-weighted embeddings" (2021).

    Args:
        points: See `points_of`, (images, dimensions).
        doubts: The doubt about each image, (images,); None before there is a model, when only the
            distance counts.
        count: How many to return; all if there are fewer.
        seed: Seed of the draws.
    """
    if len(points) <= count:
        return np.argsort(np.zeros(len(points)) if doubts is None else -doubts, kind="stable")
    weights = None if doubts is None else doubts + 1e-6
    _, rows = kmeans_plusplus(points, count, sample_weight=weights, random_state=seed)
    return np.asarray(rows, dtype=np.int64)


def doubt(probabilities: Probabilities, *, exclusive: bool) -> Floats:
    """Return how unsure a model is of each image, 0 to 1, (images,).

    Args:
        probabilities: Shape (images, classes).
        exclusive: Whether an image has one label: then the doubt is 1 minus the lead of the most
            probable class over the second. Otherwise, it is that about the most doubtful label.
    """
    if exclusive:
        best = np.sort(probabilities, axis=1)[:, -2:]
        return np.asarray(1 - (best[:, 1] - best[:, 0]), dtype=np.float32)
    return np.asarray((1 - np.abs(2 * probabilities - 1)).max(axis=1), dtype=np.float32)


def alike(points: Floats, *, seed: int = 0) -> Rows:
    """Return the number of each image's group of images that look alike, (images,).

    Args:
        points: See `points_of`, (images, dimensions).
        seed: Seed of the groups' first centres.
    """
    groups = max(1, round(len(points) / _ALIKE))
    if groups == 1:
        return np.zeros(len(points), dtype=np.int64)
    fit = MiniBatchKMeans(groups, random_state=seed, n_init=1, batch_size=1024)
    return np.asarray(fit.fit_predict(points), dtype=np.int64)
