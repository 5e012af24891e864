"""What a gallery learns from its images: how to compare them, and what distances say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import GroupKFold

from headstart.arrays import Features, Folds, Numbers, Rows
from headstart.backbones.layout import FeatureLayout
from headstart.data.images import ImageSet
from headstart.galleries.answers import coarse_of
from headstart.galleries.certainty import Certainty
from headstart.galleries.embedding import Embedding, TriedEmbedding, choose_embedding
from headstart.galleries.retrieval import retrieve
from headstart.galleries.table import Enrolled

# An embedding is chosen on so many images, and distances are learnt from so many.
_CHOSEN_ON, _LOOKED_UP = 4_000, 2_000
_FOLDS, _FEWEST_QUERIES = 5, 20
_SMALLEST = 1e-9


@dataclass(frozen=True, eq=False)
class Choice:
    """What a gallery compares images by.

    Attributes:
        embedding: Turns features into embeddings.
        tried: The embeddings that were tried, the best first.
        nearer: How much nearer to others an image of a new label is than one of a label from which
            the embedding was learnt, 0 to 1: learning spreads labels that are known to it.
    """

    embedding: Embedding
    tried: tuple[TriedEmbedding, ...]
    nearer: float


def choose(features: Features, images: ImageSet, layout: FeatureLayout) -> Choice:
    """Choose an embedding for images; see `choose_embedding`.

    Args:
        features: Their features, (images, layout.width).
        images: The images.
        layout: The meaning of the columns of the features.
    """
    labels, groups = _numbered(images.table["label"].to_pylist()), _numbered(images.groups)
    rows = _sample_of_labels(labels, _CHOSEN_ON)
    folds = _folds(labels[rows], groups[rows])
    embedding, tried = choose_embedding(features[rows], layout, labels[rows], groups[rows], folds)
    nearer = 1.0
    if tried and labels[rows].max() > 0:
        nearer = _nearer(embedding, features[rows], layout, labels[rows], groups[rows])
    if len(rows) < len(features) and tried:  # What was chosen is learnt from all images.
        embedding = Embedding.of(features, layout, embedding.features, embedding.treatment)
    return Choice(embedding, tried, nearer)


def certainty_of(enrolled: Enrolled, false_accepts: float, nearer: float) -> Certainty:
    """Learn what distances say in a gallery of these images.

    Args:
        enrolled: The images.
        false_accepts: The share of strangers that may be accepted, between 0 and 1.
        nearer: See `Choice`.
    """
    labels, groups = _numbered(enrolled.labels), _numbered(enrolled.groups)
    rows = np.random.default_rng(0).permutation(len(enrolled))[:_LOOKED_UP]
    found = retrieve(enrolled.points, labels, groups, rows)
    strangers = replace(found, other=nearer * found.other)
    return Certainty.of(strangers, false_accepts, enrolled=len(enrolled), nearer=nearer)


def coarse_certainty_of(
    enrolled: Enrolled, false_accepts: float, nearer: float
) -> Certainty | None:
    """Learn what distances say about the part of labels before "/"; None if they have none."""
    labels = [coarse_of(label) for label in enrolled.labels]
    if labels == list(enrolled.labels) or len(set(labels)) < 2:
        return None
    return certainty_of(replace(enrolled, labels=labels), false_accepts, nearer)


def _nearer(
    embedding: Embedding, features: Features, layout: FeatureLayout, labels: Rows, groups: Rows
) -> float:
    """Return how much nearer to others images are if their label was not learnt from.

    Args:
        embedding: The embedding, learnt from all images.
        features: Features of the images, (images, layout.width).
        layout: The meaning of their columns.
        labels: The number of each image's label.
        groups: The number of each image's group.
    """
    folds = min(_FOLDS, len(np.unique(labels)))
    new = []
    for others, rows in GroupKFold(folds).split(labels, groups=labels):
        without = Embedding.of(features[others], layout, embedding.features, embedding.treatment)
        new.append(retrieve(without.of_features(features), labels, groups, rows).other)
    points, every = embedding.of_features(features), np.arange(len(labels))
    known = retrieve(points, labels, groups, every).other
    return min(1.0, _median(np.concatenate(new)) / _median(known))


def _median(distances: Numbers) -> float:
    known = distances[np.isfinite(distances)]
    return max(float(np.median(known)), _SMALLEST) if len(known) else 1.0


def _numbered(values: Sequence[str]) -> Rows:
    return np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1]


def _sample_of_labels(labels: Rows, count: int) -> Rows:
    """Return the rows of whole labels, drawn at random, of about so many images."""
    if len(labels) <= count:
        return np.arange(len(labels))
    order = np.random.default_rng(0).permutation(labels.max() + 1)
    rank = np.argsort(order)[labels]
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _folds(labels: Rows, groups: Rows) -> Folds | None:
    """Return pairs of rows, (others, looked up), that keep groups together; None if too few."""
    queries = sum(len(set(groups[labels == one])) > 1 for one in np.unique(labels))
    if queries < 2 or len(np.unique(groups)) < _FEWEST_QUERIES:
        return None
    split = GroupKFold(_FOLDS).split(labels, groups=groups)
    return [(others, rows) for others, rows in split]
