"""The tutorial's head: it learns, stops early, and is reproducible."""

import numpy as np
import pytest
import torch

from headstart.heads.mlp import fit_mlp
from tests.heads.problems import blobs, problem, rings


def fit(task, **changes):
    """Fit with small settings."""
    settings = {"hidden": 32, "dropout": 0.2, "epochs": 60, "learning_rate": 1e-2, "seed": 0}
    return fit_mlp(task, "last", **(settings | changes))


def test_it_learns_rings():
    """A hidden layer can learn classes that are not linearly separable."""
    features, labels = rings()
    head = fit(problem(features, labels)).head
    assert (head.logits(features.astype(np.float32)).argmax(axis=1) == labels).mean() > 0.95


def test_the_same_seed_gives_the_same_head():
    """Weights, order and dropout follow the seed."""
    task = problem(*blobs())
    first, repeated, different = fit(task), fit(task), fit(task, seed=1)
    np.testing.assert_array_equal(first.head.weight, repeated.head.weight)
    assert not np.array_equal(first.head.weight, different.head.weight)


def test_the_random_state_of_torch_is_unchanged():
    """Training neither uses nor changes the global random state."""
    task = problem(*blobs())
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    first = fit(task, epochs=3)
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(fit(task, epochs=3).head.weight, first.head.weight)


def test_training_stops_when_validation_no_longer_improves(monkeypatch):
    """With random labels, training ends long before the last epoch."""
    features, labels = blobs(count=60)
    task = problem(features, np.random.default_rng(0).permutation(labels))
    orders, permute = [], torch.randperm

    def counted(count):
        orders.append(count)
        return permute(count)

    monkeypatch.setattr(torch, "randperm", counted)  # Called once per epoch.
    fit(task, epochs=1000)
    assert 10 <= len(orders) < 300


def test_the_best_weights_are_kept():
    """Training longer past the best epoch gives the same head."""
    features, labels = blobs(count=60)
    task = problem(features, np.random.default_rng(0).permutation(labels))
    np.testing.assert_array_equal(
        fit(task, epochs=300).head.weight, fit(task, epochs=301).head.weight
    )


def test_the_first_fold_is_held_out():
    """Held-out scores are the head's own scores of the validation part."""
    task = problem(*blobs())
    found = fit(task)
    np.testing.assert_array_equal(found.held_out.rows, task.folds[0][1])
    np.testing.assert_array_equal(
        found.held_out.logits, found.head.logits(task.features[found.held_out.rows])
    )


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_scale_of_features_does_not_matter(scale):
    """Features are standardised first."""
    features, labels = blobs()
    task = problem(features * scale, labels)
    assert (fit(task).head.logits(task.features).argmax(axis=1) == labels).mean() > 0.8
