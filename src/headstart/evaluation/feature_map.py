"""A map of images: their features in two dimensions, where similar images are close together."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from headstart.arrays import Features, Numbers, Rows

MIN_IMAGES = 20
"""Fewer images are compared faster by looking at them."""

MAX_IMAGES = 2000
"""Of more images, this many are drawn at random: t-SNE takes about 2.5 ms per image."""

_COMPONENTS = 50
_PERPLEXITY = 30
_ITERATIONS = 500
_ANGLE = 0.8


@dataclass(frozen=True)
class FeatureMap:
    """Positions of images on a map.

    Attributes:
        rows: The images on the map, in ascending order, shape (mapped,).
        coordinates: Where they are, in no particular unit, shape (mapped, 2).
    """

    rows: Rows
    coordinates: Numbers


def mapped_rows(count: int, seed: int) -> Rows:
    """Return the rows of the images on the map, in ascending order: all, or a random sample."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:MAX_IMAGES])


def feature_map(features: Features, seed: int) -> FeatureMap | None:
    """Map images by t-SNE (van der Maaten and Hinton, 2008) of their 50 principal components.

    Distances between neighbours are meaningful; those between distant groups are not. The same
    features and seed give the same map.

    Args:
        features: The output of the frozen network, (images, width).
        seed: Seed of the sample, and of t-SNE.

    Returns:
        The map of all images or, with more than 2,000, of a random sample; None with fewer than 20
        images, or if their features do not differ.
    """
    if len(features) < MIN_IMAGES:
        return None
    rows = mapped_rows(len(features), seed)
    reduced = _principal_components(features[rows], seed)
    if reduced is None:
        return None
    tsne = TSNE(
        init="pca",
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        max_iter=_ITERATIONS,
        angle=_ANGLE,
        random_state=seed,
    )
    return FeatureMap(rows, np.asarray(tsne.fit_transform(reduced), dtype=np.float64))


def _principal_components(features: Features, seed: int) -> Features | None:
    """Return at least two components of each image; None if the features do not differ."""
    count = min(_COMPONENTS, len(features) - 1, features.shape[1])
    if count < 2 or not np.ptp(features, axis=0).any():
        return None
    pca = PCA(count, svd_solver="randomized", random_state=seed)
    return np.asarray(pca.fit_transform(features))
