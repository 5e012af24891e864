"""Logistic regression agrees with scikit-learn, for many problems at once."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from headstart.heads.logistic import fit_logistic
from tests.conftest import TASK
from tests.heads.problems import blobs


def solve(inputs, labels, sample_weights, strengths, classes, steps=300):
    """Fit with the spectrum of the inputs."""
    return fit_logistic(
        inputs,
        TASK.encode(labels, classes),
        sample_weights,
        torch.tensor(strengths).unsqueeze(1),
        task=TASK,
        spectrum=inputs.square().mean(dim=0),
        steps=steps,
    )


@pytest.mark.parametrize("strength", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("classes", [2, 3])
def test_it_agrees_with_scikit_learn(strength, classes):
    """With strength = 1 / (C n) the objective is the same, and so are the probabilities."""
    features, labels = blobs(classes=classes)
    inputs = torch.from_numpy(features.astype(np.float32))
    count = len(labels)
    models = solve(inputs, labels, torch.full((count, 1), 1 / count), [strength], classes)
    found = torch.softmax(models.logits(inputs)[0], dim=1).numpy()
    # For two classes scikit-learn has one weight vector, which is regularised twice as strongly.
    factor = 2 if classes == 2 else 1
    reference = LogisticRegression(C=factor / (strength * count), tol=1e-10, max_iter=10_000)
    expected = reference.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_problems_fitted_together_are_independent():
    """Each strength and fold has the same solution as if it were fitted separately."""
    features, labels = blobs()
    inputs = torch.from_numpy(features.astype(np.float32))
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(len(labels), 3, generator=generator)
    shares = shares / shares.sum(dim=0)
    strengths = [1e-1, 1e-2, 1e-3]
    together = solve(inputs, labels, shares, strengths, 3).logits(inputs)
    for number, strength in enumerate(strengths):
        separate = solve(inputs, labels, shares[:, [number]], [strength], 3).logits(inputs)[0]
        torch.testing.assert_close(together[number], separate, atol=5e-2, rtol=0)


def test_an_image_of_weight_0_is_ignored():
    """The label of a held-out image with sample weight 0 does not matter."""
    features, labels = blobs()
    inputs = torch.from_numpy(features.astype(np.float32))
    shares = torch.full((len(labels), 1), 1 / 80)
    shares[80:] = 0
    changed = labels.copy()
    changed[80:] = 2 - changed[80:]
    original = solve(inputs, labels, shares, [1e-2], 3)
    relabelled = solve(inputs, changed, shares, [1e-2], 3)
    assert torch.equal(original.weight, relabelled.weight)


def test_a_class_without_an_image_becomes_improbable():
    """A class without images still has a column with finite scores."""
    features, labels = blobs()
    inputs = torch.from_numpy(features.astype(np.float32))
    models = solve(inputs, labels, torch.full((len(labels), 1), 1 / len(labels)), [1e-2], 4)
    probability = torch.softmax(models.logits(inputs)[0], dim=1)
    assert torch.isfinite(models.weight).all()
    assert probability[:, 3].max() < 0.05


def test_shapes():
    """Weight (problems, columns, classes), bias (problems, 1, classes)."""
    features, labels = blobs()
    inputs = torch.from_numpy(features.astype(np.float32))
    models = solve(inputs, labels, torch.full((90, 2), 1 / 90), [1e-1, 1e-2], 3, steps=2)
    assert models.weight.shape == (2, 8, 3)
    assert models.bias.shape == (2, 1, 3)
    assert models.logits(inputs).shape == (2, 90, 3)
