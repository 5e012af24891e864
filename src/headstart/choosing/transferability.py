"""How well a backbone's features suit the labels, estimated without training a head."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from headstart.arrays import Features, Folds, Numbers, Targets

_NEIGHBOURS = 10
_ROUNDS, _TOLERANCE, _TINY = 100, 1e-3, 1e-5


def knn_accuracy(features: Features, labels: Targets, folds: Folds) -> float:
    """Return the share of held-out images that their nearest training images classify correctly.

    Ten neighbours by the cosine of their features, nearer ones counting more.

    Args:
        features: Shape (images, width).
        labels: Class numbers, shape (images,).
        folds: Pairs of rows (learn from, measure on).
    """
    right = 0
    for learn, measure in folds:
        model = KNeighborsClassifier(
            min(_NEIGHBOURS, len(learn)), metric="cosine", weights="distance"
        )
        model.fit(features[learn], labels[learn])
        right += int((model.predict(features[measure]) == labels[measure]).sum())
    return right / sum(len(measure) for _, measure in folds)


def log_me(features: Features, labels: Targets) -> float:
    """Return the logarithm of maximum evidence for each image, mean over classes; higher is better.

    The evidence of a Bayesian linear model of the labels, at the best precisions of its weights
    and its noise, found by fixed-point iteration (You et al., "LogME: practical assessment of
    pre-trained models for transfer learning", 2021).

    Args:
        features: Shape (images, width).
        labels: Class numbers, shape (images,).
    """
    matrix = features.astype(np.float64)
    matrix /= max(float(np.sqrt(np.square(matrix).mean())), _TINY)  # Any unit scores the same.
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    energy = singular**2
    truths = [(labels == number).astype(np.float64) for number in np.unique(labels)]
    scores = [_evidence(energy, left.T @ truth, truth, matrix.shape[1]) for truth in truths]
    return float(np.mean(scores))


def _evidence(energy: Numbers, rotated: Numbers, truth: Numbers, width: int) -> float:
    images = len(truth)
    explained = rotated**2
    outside = float((truth**2).sum() - explained.sum())
    of_weights = of_noise = 1.0
    evidence = -np.inf
    for _ in range(_ROUNDS):
        ratio = of_weights / of_noise
        effective = (energy / (energy + ratio)).sum()
        size = (energy * explained / (energy + ratio) ** 2).sum()
        residual = (explained / (1 + energy / ratio) ** 2).sum() + outside
        of_weights = max(effective, _TINY) / (size + _TINY)
        of_noise = (images - effective) / (residual + _TINY)
        unseen = (width - len(energy)) * np.log(of_weights)
        evidence = (
            width * np.log(of_weights)
            + images * np.log(of_noise)
            - np.log(of_weights + of_noise * energy).sum()
            - unseen
            - of_noise * residual
            - of_weights * size
            - images * np.log(2 * np.pi)
        ) / (2 * images)
        if abs(of_weights / of_noise - ratio) <= _TOLERANCE * ratio:
            break
    return float(evidence)
