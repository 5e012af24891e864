"""Small problems to learn, each with a known nature."""

import numpy as np

from headstart.data.splits import stratified_folds
from headstart.heads.problem import Problem
from tests.conftest import TASK


def problem(features, labels, *, last=None, folds=4, classes=None, **more):
    """Make a problem of features and labels; every image is its own group."""
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
        **more,
    )


def blobs(count=90, width=8, classes=3, seed=0, spread=1.0):
    """Give overlapping clouds that straight lines tell apart as well as anything."""
    numbers = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2 * np.eye(classes, width)
    return (centres[labels] + spread * numbers.normal(size=(count, width))), labels


def rings(count=120, seed=0):
    """Give two rings around one centre, which no straight line tells apart."""
    numbers = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    angle = numbers.uniform(0, 2 * np.pi, count)
    radius = 1 + 2 * labels + 0.15 * numbers.normal(size=count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), labels


def halves(count=120, width=20, seed=0):
    """Give points on the two sides of one plane, in many dimensions."""
    features = np.random.default_rng(seed).normal(size=(count, width))
    return features, (features @ np.linspace(-1, 1, width) > 0).astype(np.int64)
