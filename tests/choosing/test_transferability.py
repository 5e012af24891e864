"""Transferability scores: better features score higher."""

import numpy as np
import pytest

from headstart.choosing.transferability import knn_accuracy, log_me
from headstart.data.splits import stratified_folds


def problem(distance, images=120, classes=3, width=20):
    """Return features whose classes are some distance apart, their labels, and folds."""
    draw = np.random.default_rng(0)
    labels = np.arange(images) % classes
    centres = draw.normal(size=(classes, width)) * distance
    features = (centres[labels] + draw.normal(size=(images, width))).astype(np.float32)
    folds = stratified_folds(labels, [str(n) for n in range(images)], folds=4, seed=0)
    return features, labels, folds


def test_neighbours_predict_separate_classes_correctly():
    """Accuracy is 1 for distant classes and about 1/3 for identical ones."""
    assert knn_accuracy(*problem(5)) == 1.0
    assert 0.15 < knn_accuracy(*problem(0)) < 0.5


def test_neighbours_may_be_fewer_than_ten():
    """With few images the score is still defined."""
    features, labels, _ = problem(5, images=6)
    folds = stratified_folds(labels, list("abcdef"), folds=2, seed=0)
    assert 0 <= knn_accuracy(features, labels, folds) <= 1


@pytest.mark.parametrize("width", [20, 300])
def test_evidence_rises_with_class_separation(width):
    """This holds with fewer and with more columns than images."""
    scores = [log_me(*problem(distance, width=width)[:2]) for distance in (0, 0.3, 1, 3)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.1


def test_evidence_does_not_depend_on_the_unit():
    """Scaled features score the same; constant ones score lower, but still a finite number."""
    features, labels, _ = problem(1)
    score = log_me(features, labels)
    assert log_me(features * 1000, labels) == pytest.approx(score, abs=1e-6)
    assert log_me(features / 1000, labels) == pytest.approx(score, abs=1e-6)
    assert np.isfinite(log_me(features * 0, labels))
    assert log_me(features * 0, labels) < score


def test_evidence_is_that_of_the_linear_model():
    """At the best precisions it is the log density of the labels under a normal distribution."""
    from scipy.stats import multivariate_normal

    features, labels, _ = problem(1, images=60, classes=2)
    truth = (labels == 0).astype(float)
    other = (labels == 1).astype(float)
    best = -np.inf
    wide = features.astype(float)
    grid = 10.0 ** np.arange(-2, 4, 0.25)
    totals = []
    for target in (truth, other):
        best = -np.inf
        for alpha in grid:
            for beta in grid:
                covariance = wide @ wide.T / alpha + np.eye(len(wide)) / beta
                density = multivariate_normal(cov=covariance, allow_singular=True).logpdf(target)
                best = max(best, density / len(wide))
        totals.append(best)
    assert log_me(features, labels) == pytest.approx(np.mean(totals), abs=0.02)
