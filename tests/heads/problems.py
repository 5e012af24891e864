"""Small synthetic classification problems."""

import numpy as np

from headstart.data.splits import stratified_folds
from headstart.heads.problem import Problem
from tests.conftest import TASK


def problem(features, labels, *, last=None, folds=4, classes=None, **options):
    """Create a problem from features and labels; every image is its own group."""
    labels = np.asarray(labels, dtype=np.int64)
    groups = [str(number) for number in range(len(labels))]
    features = np.ascontiguousarray(features, dtype=np.float32)
    width = features.shape[1]
    return Problem(
        features,
        {"last": slice(0, last or width)} | ({"multilevel": slice(0, width)} if last else {}),
        labels,
        classes or int(labels.max()) + 1,
        stratified_folds(labels, groups, folds=folds, seed=0),
        TASK,
        **options,
    )


def blobs(count=90, width=8, classes=3, seed=0, spread=1.0):
    """Return overlapping clouds, which a linear classifier separates as well as any."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2 * np.eye(classes, width)
    return (centres[labels] + spread * rng.normal(size=(count, width))), labels


def rings(count=120, seed=0):
    """Return two concentric rings, which are not linearly separable."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = 1 + 2 * labels + 0.15 * rng.normal(size=count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), labels


def halves(count=120, width=20, seed=0):
    """Return points on the two sides of a hyperplane."""
    features = np.random.default_rng(seed).normal(size=(count, width))
    return features, (features @ np.linspace(-1, 1, width) > 0).astype(np.int64)
