"""Neighbours are exact in blocks, and clusters respect distances, classes and a maximum size."""

import numpy as np
import pytest

from headstart.evaluation.clusters import cluster, find_neighbours

COUNT = 60


@pytest.fixture(scope="module")
def images():
    """Return features of 20 subjects with three copies each, and their classes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(COUNT // 3, 8)).repeat(3, axis=0)
    features = centres + 0.05 * rng.normal(size=(COUNT, 8))
    return features.astype(np.float32), np.arange(COUNT) // 3 % 2


def distances(features):
    """Return all distances between directions from the mean."""
    centred = features - features.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return np.linalg.norm(unit[:, np.newaxis] - unit, axis=2)


def test_neighbours_are_those_of_all_pairs(images, monkeypatch):
    """Blocks of seven images give the nearest images and their distances."""
    monkeypatch.setattr("headstart.evaluation.clusters._BLOCK", 7)
    features, targets = images
    rows = np.arange(COUNT)
    found = find_neighbours(features, targets, rows, rows)
    pairs, same = distances(features), targets[:, np.newaxis] == targets
    near = np.where(same & ~np.eye(COUNT, dtype=bool), pairs, np.inf)
    np.testing.assert_array_equal(found.nearest, near.argmin(axis=1))
    np.testing.assert_allclose(found.near, near.min(axis=1), atol=1e-3)
    np.testing.assert_allclose(found.other, np.where(same, np.inf, pairs).min(axis=1), atol=1e-3)
    typical = np.sqrt(np.where(same, pairs**2, 0).sum(axis=1) / 30)
    np.testing.assert_allclose(found.typical, typical, atol=1e-3)


def test_images_of_a_known_group_are_not_neighbours(images):
    """An image whose class is all in its group has no neighbour."""
    features, targets = images
    found = find_neighbours(features, targets, targets, np.arange(5))
    assert found.nearest.tolist() == [-1] * 5
    assert np.isinf(found.near).all()


def test_copies_are_clustered(images):
    """Each subject is a cluster, in its own class."""
    features, targets = images
    found = find_neighbours(features, targets, np.arange(COUNT), np.arange(COUNT))
    clusters = cluster(features, targets, found)
    by_subject = clusters.reshape(-1, 3)
    assert (by_subject == by_subject[:, :1]).all()
    classes = [set(targets[clusters == number]) for number in np.unique(clusters)]
    assert all(len(one) == 1 for one in classes)


def test_a_cluster_has_at_most_a_third_of_its_class():
    """Classes that are far apart do not become clusters."""
    rng = np.random.default_rng(0)
    targets = np.arange(COUNT) % 2
    features = (20.0 * targets[:, np.newaxis] + rng.normal(size=(COUNT, 8))).astype(np.float32)
    found = find_neighbours(features, targets, np.arange(COUNT), np.arange(COUNT))
    sizes = np.bincount(cluster(features, targets, found))
    assert 2 <= sizes.max() <= 10


def test_a_class_of_one_image_is_a_cluster(images):
    """It has no pairs."""
    features, targets = images
    targets = np.where(np.arange(COUNT) == 7, 2, targets)
    found = find_neighbours(features, targets, np.arange(COUNT), np.arange(COUNT))
    clusters = cluster(features, targets, found)
    assert (clusters == clusters[7]).sum() == 1
