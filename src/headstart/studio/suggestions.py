"""Which images to label next, and which ones look alike."""

import numpy as np
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

from headstart.arrays import Features, Floats, Probabilities, Rows

_ALIKE = 40
"""About so many images are in a group of those that look alike."""


def next_to_label(
    features: Features, probabilities: Probabilities | None, count: int, *, seed: int = 0
) -> Rows:
    """Return images that teach most: about which the model is unsure, and no two of them alike.

    Each is drawn with a probability that grows with its distance from those before it and with the
    doubt about it (k-means++ of weighted images). The idea is that of Prabhu et al., "Active domain
    adaptation via clustering uncertainty-weighted embeddings" (2021).

    Args:
        features: Shape (images, width).
        probabilities: Shape (images, classes); None before there is a model, when only the
            distance counts.
        count: How many to return; all if there are fewer.
        seed: Seed of the draws.
    """
    if len(features) <= count:
        doubts = doubt(probabilities) if probabilities is not None else np.zeros(len(features))
        return np.argsort(-doubts, kind="stable")
    weights = doubt(probabilities) + 1e-6 if probabilities is not None else None
    _, rows = kmeans_plusplus(
        _directions(features), count, sample_weight=weights, random_state=seed
    )
    return np.asarray(rows, dtype=np.int64)


def doubt(probabilities: Probabilities) -> Floats:
    """Return 1 minus the lead of the most probable class over the second, (images,)."""
    best = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(1 - (best[:, 1] - best[:, 0]), dtype=np.float32)


def alike(features: Features, *, seed: int = 0) -> Rows:
    """Return the number of each image's group of images that look alike, (images,)."""
    groups = max(1, round(len(features) / _ALIKE))
    if groups == 1:
        return np.zeros(len(features), dtype=np.int64)
    fit = MiniBatchKMeans(groups, random_state=seed, n_init=1, batch_size=1024)
    return np.asarray(fit.fit_predict(_directions(features)), dtype=np.int64)


def _directions(features: Features) -> Floats:
    """Return features of length 1, whose distances are angles."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)
