"""How features become embeddings, whose distance says how alike two images are.

Features are centred and, where leave-one-out retrieval says so, whitened, and then have length 1
(SimpleShot; Wang et al., 2019). Which features are read is chosen in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from sklearn.utils.extmath import randomized_svd

from headstart.arrays import Anything, Features, Floats, Folds, Numbers, Rows
from headstart.backbones.layout import FeatureLayout
from headstart.galleries.retrieval import Retrieval, retrieve

Treatment = Literal["plain", "centred", "whitened"]
"""What is done to features before they have length 1."""

# More directions of a whitened embedding are mostly noise, and slow a search down.
_MAX_WHITENED = 128
# With fewer images, those that were learnt from are spread more evenly than others are, so that
# their distances say nothing about others'.
_IMAGES_PER_DIRECTION = 10
_SMALLEST = 1e-12
_SHRINKAGE = 0.1


@dataclass(frozen=True, eq=False)
class Embedding:
    """Turns features into embeddings.

    Attributes:
        features: The features that are read: "last", "multilevel" or "scales".
        treatment: What is done to them.
        mean: Subtracted from the features, (width,).
        scale: What they are multiplied by after that, (width,); if whitened, (width, dimensions).
    """

    features: str
    treatment: Treatment
    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Features, layout: FeatureLayout, kind: str, treatment: Treatment) -> Self:
        """Learn an embedding from the features of images, (images, layout.width)."""
        columns = layout.columns(kind)
        read = features[:, columns].astype(np.float64)
        weights = layout.weights()[columns].astype(np.float64)
        if treatment == "plain":
            mean, scale = np.zeros(read.shape[1]), weights
        else:
            mean = read.mean(axis=0)
            # The stages' statistics differ in scale; the channels of the last layer do not.
            scale = weights if kind == "last" else weights / _spreads(read, layout)
        if treatment == "whitened":
            scale = _whitening((read - mean) * scale, scale)
        return cls(kind, treatment, mean.astype(np.float32), scale.astype(np.float32))

    @property
    def dimensions(self) -> int:
        """The number of values of an embedding."""
        return int(self.scale.shape[-1])

    def of_features(self, features: Features) -> Floats:
        """Return the embeddings of images, (images, dimensions), each of length 1.

        Args:
            features: Features of all stages, (images, width).
        """
        centred = features[:, : len(self.mean)].astype(np.float32) - self.mean
        points = centred @ self.scale if self.scale.ndim == 2 else centred * self.scale
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        return np.asarray(points / np.maximum(lengths, _SMALLEST), dtype=np.float32)

    def to_arrays(self) -> dict[str, Anything]:
        """Return the arrays by name."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_arrays(
        cls, features: str, treatment: Treatment, arrays: Mapping[str, Anything]
    ) -> Self:
        """Create the same from the result of `to_arrays`."""
        mean, scale = (arrays[name].astype(np.float32) for name in ("mean", "scale"))
        return cls(features, treatment, mean, scale)


@dataclass(frozen=True)
class TriedEmbedding:
    """An embedding that was tried.

    Attributes:
        features: The features that it reads.
        treatment: What it does to them.
        retrieval: What leave-one-out retrieval with it finds.
    """

    features: str
    treatment: Treatment
    retrieval: Retrieval


def choose_embedding(
    features: Features,
    layout: FeatureLayout,
    labels: Rows,
    groups: Rows,
    folds: Folds | None,
) -> tuple[Embedding, tuple[TriedEmbedding, ...]]:
    """Choose features and treatment by leave-one-out retrieval among the images.

    Of those whose recall@1 is within a standard error of the best, the one of the highest mAP@R is
    chosen, as that says how well all images of a label are told from the others. Means and
    whitening are learnt without the images that are looked up, in folds.

    Args:
        features: Features of the images, (images, layout.width).
        layout: The meaning of their columns.
        labels: The number of each image's label, (images,).
        groups: The number of each image's group, (images,); images of its own are not found.
        folds: Pairs of rows, (others, looked up); None if there are too few images: then features
            of the last layer stay as they are, as the mean of a few says little.

    Returns:
        The embedding, learnt from all images, and what was tried, best first.
    """
    if folds is None:
        return Embedding.of(features, layout, "last", "plain"), ()
    tried: list[TriedEmbedding] = []
    for kind in (name for name in layout.kinds if name != "flatten"):
        treatments: tuple[Treatment, ...] = ("plain", "centred", "whitened")
        for treatment in treatments:
            found = [
                _looked_up(features, layout, labels, groups, kind, treatment, others, rows)
                for others, rows in folds
            ]
            tried.append(TriedEmbedding(kind, treatment, Retrieval.joined(found)))
    tried = _best_first(tried)
    best = tried[0]
    return Embedding.of(features, layout, best.features, best.treatment), tuple(tried)


def _best_first(tried: Sequence[TriedEmbedding]) -> list[TriedEmbedding]:
    recalls = {id(one): one.retrieval.recall(1) for one in tried}
    best = max(recalls.values())
    margin = (best * (1 - best) / max(len(tried[0].retrieval), 1)) ** 0.5
    return sorted(
        tried,
        key=lambda one: (recalls[id(one)] < best - margin, -one.retrieval.map_at_r),
    )


def _looked_up(
    features: Features,
    layout: FeatureLayout,
    labels: Rows,
    groups: Rows,
    kind: str,
    treatment: Treatment,
    others: Rows,
    rows: Rows,
) -> Retrieval:
    """Look up some images among all, with an embedding that is learnt from the others."""
    embedding = Embedding.of(features[others], layout, kind, treatment)
    return retrieve(embedding.of_features(features), labels, groups, rows)


def _spreads(features: Numbers, layout: FeatureLayout) -> Numbers:
    """Return the standard deviation of each column, (width,).

    That of a channel that is nearly constant in these images, but perhaps not in others, is drawn
    to the mean of its block.
    """
    variances, begin = features.var(axis=0), 0
    for _, width in layout.blocks:
        block = variances[begin : begin + width]
        block += _SHRINKAGE * block.mean() if len(block) else 0.0
        begin += width
    return np.asarray(np.sqrt(np.maximum(variances, _SMALLEST)))


def _whitening(centred: Numbers, scale: Numbers) -> Numbers:
    """Return what maps centred features to principal components of equal variance.

    Args:
        centred: Centred and scaled features, (images, width).
        scale: What they were scaled by, (width,).
    """
    count = max(1, min(_MAX_WHITENED, len(centred) // _IMAGES_PER_DIRECTION, centred.shape[1]))
    _, values, axes = randomized_svd(centred, n_components=count, n_iter=2, random_state=0)
    variances = values**2 / len(centred)
    # Small variances are uncertain, so they are drawn to the mean of the components'.
    spread = np.sqrt(variances + _SHRINKAGE * variances.mean())
    return np.asarray((axes * scale).T / spread)
