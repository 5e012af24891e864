"""Transferability estimates: how well features fit the labels, without training a head."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from headstart.arrays import Features, Folds, Numbers, Targets

_NEIGHBOURS = 10
_ROUNDS, _TOLERANCE, _TINY = 100, 1e-3, 1e-5


def knn_accuracy(features: Features, labels: Targets, folds: Folds) -> float:
    """Return the share of held-out images that their nearest training images classify correctly.

    Uses ten neighbours by cosine similarity, weighted by distance.

    Args:
        features: Shape (images, width).
        labels: Class numbers, shape (images,).
        folds: Pairs of rows (train, held out).
    """
    correct = 0
    for train, held_out in folds:
        model = KNeighborsClassifier(
            min(_NEIGHBOURS, len(train)), metric="cosine", weights="distance"
        )
        model.fit(features[train], labels[train])
        correct += int((model.predict(features[held_out]) == labels[held_out]).sum())
    return correct / sum(len(held_out) for _, held_out in folds)


def log_me(features: Features, labels: Targets) -> float:
    """Return the logarithm of maximum evidence per image, averaged over classes; higher is better.

    This is the evidence of a Bayesian linear model of the labels, at the best precisions of its
    weights and its noise, found by fixed-point iteration (You et al., "LogME: practical
    assessment of pre-trained models for transfer learning", 2021).

    Args:
        features: Shape (images, width).
        labels: Class numbers, shape (images,).
    """
    matrix = features.astype(np.float64)
    matrix /= max(
        float(np.sqrt(np.square(matrix).mean())), _TINY
    )  # The score does not depend on the unit.
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    energy = singular**2
    truths = [(labels == number).astype(np.float64) for number in np.unique(labels)]
    scores = [_evidence(energy, left.T @ truth, truth, matrix.shape[1]) for truth in truths]
    return float(np.mean(scores))


def _evidence(energy: Numbers, rotated: Numbers, truth: Numbers, width: int) -> float:
    images = len(truth)
    explained = rotated**2
    outside = float((truth**2).sum() - explained.sum())
    weight_precision = noise_precision = 1.0
    evidence = -np.inf
    for _ in range(_ROUNDS):
        ratio = weight_precision / noise_precision
        effective = (energy / (energy + ratio)).sum()
        size = (energy * explained / (energy + ratio) ** 2).sum()
        residual = (explained / (1 + energy / ratio) ** 2).sum() + outside
        weight_precision = max(effective, _TINY) / (size + _TINY)
        noise_precision = (images - effective) / (residual + _TINY)
        unseen = (width - len(energy)) * np.log(weight_precision)
        evidence = (
            width * np.log(weight_precision)
            + images * np.log(noise_precision)
            - np.log(weight_precision + noise_precision * energy).sum()
            - unseen
            - noise_precision * residual
            - weight_precision * size
            - images * np.log(2 * np.pi)
        ) / (2 * images)
        if abs(weight_precision / noise_precision - ratio) <= _TOLERANCE * ratio:
            break
    return float(evidence)
