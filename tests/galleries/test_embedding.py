"""Embeddings: features that are centred, perhaps whitened, and of length 1."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from headstart.backbones.layout import FeatureLayout
from headstart.galleries.embedding import Embedding, Treatment, choose_embedding

LAYOUT = FeatureLayout((("output", 12), ("stage1.mean", 6)))


def made(
    noise: float, *, useful: slice, items: int = 12, copies: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Return features of which only some columns tell items apart, far from the origin."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(items), copies)
    features = draw.normal(0, noise, (len(labels), LAYOUT.width)) + 30
    width = useful.stop - useful.start
    features[:, useful] += draw.normal(0, 2, (items, width))[labels]
    return features.astype(np.float32), labels


@pytest.mark.parametrize("treatment", ["plain", "centred", "whitened"])
@pytest.mark.parametrize("kind", ["last", "multilevel"])
def test_embeddings_have_length_1_and_are_restored(kind: str, treatment: Treatment) -> None:
    features, _ = made(1.0, useful=slice(0, 12))
    embedding = Embedding.of(features, LAYOUT, kind, treatment)
    points = embedding.of_features(features)
    assert points.shape == (72, embedding.dimensions)
    assert np.linalg.norm(points, axis=1) == pytest.approx(1, abs=1e-5)
    again = Embedding.from_arrays(kind, treatment, embedding.to_arrays())
    assert np.array_equal(again.of_features(features), points)


def test_whitened_embeddings_vary_equally_in_all_directions() -> None:
    """Before they have length 1; a column of large variance no longer outweighs others."""
    draw = np.random.default_rng(1)
    features = draw.normal(size=(2000, LAYOUT.width)) * np.geomspace(0.5, 2, LAYOUT.width)
    embedding = Embedding.of(features.astype(np.float32), LAYOUT, "last", "whitened")
    points = (features[:, :12] - embedding.mean) @ embedding.scale
    variances = points.var(axis=0)
    assert variances.max() / variances.min() < 1.6
    assert np.abs(np.corrcoef(points.T) - np.eye(12)).max() < 0.1


def test_what_finds_most_is_chosen() -> None:
    """Only the stage tells items apart, and features are far from the origin."""
    features, labels = made(0.5, useful=slice(12, 18))
    groups = np.arange(len(labels))
    folds = list(GroupKFold(4).split(labels, groups=groups))
    embedding, tried = choose_embedding(features, LAYOUT, labels, groups, folds)
    assert embedding.features == "multilevel"
    assert len(tried) == 6
    found = {(one.features, one.treatment): one.retrieval.recall(1) for one in tried}
    assert found["multilevel", embedding.treatment] == max(found.values())
    assert found["last", "plain"] < 0.5 < found["multilevel", embedding.treatment]


def test_too_few_images_stay_as_they_are() -> None:
    """Nothing is chosen."""
    features, labels = made(1.0, useful=slice(0, 12), items=2, copies=2)
    embedding, tried = choose_embedding(features, LAYOUT, labels, np.arange(4), None)
    assert (embedding.features, embedding.treatment, tried) == ("last", "plain", ())
