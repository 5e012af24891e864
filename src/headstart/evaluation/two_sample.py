"""Classifier two-sample test: can new images be told apart from the training images?

A kernel classifier learns to tell them apart; each image is classified by the others (leave-one-out
in closed form). Under permuted labels, the same is done again, which gives an exact p-value. See
Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from headstart.arrays import Floats, Numbers

PERMUTATIONS = 499

# Kernel matrices of at most 2,000 images of each kind take a second.
_MAX_IMAGES = 2_000
_RIDGE = 0.1


@dataclass(frozen=True)
class TwoSampleTest:
    """The result of the test.

    Attributes:
        auroc: How well the classifier tells new images from training images: 0.5 is chance, 1 is
            always.
        p: The probability of so high a value if both are of the same kind.
    """

    auroc: float
    p: float


def two_sample_test(known: Floats, new: Floats, *, seed: int = 0) -> TwoSampleTest:
    """Test whether two sets of points come from the same distribution.

    Args:
        known: Points of images of the first kind, (images, dimensions).
        new: Points of images of the second kind, (images, dimensions).
        seed: Seed of samples and permutations.
    """
    draw = np.random.default_rng(seed)
    first, second = (draw.permutation(points)[:_MAX_IMAGES] for points in (known, new))
    labels = np.concatenate([np.zeros(len(first)), np.ones(len(second))])
    smoother = _leave_one_out(np.concatenate([first, second]).astype(np.float64))
    shuffled = np.stack([draw.permutation(labels) for _ in range(PERMUTATIONS)])
    measured = _aurocs(np.vstack([labels, shuffled]), smoother)
    as_high = int((measured[1:] >= measured[0]).sum())
    return TwoSampleTest(float(measured[0]), (as_high + 1) / (PERMUTATIONS + 1))


def _leave_one_out(points: Numbers) -> Numbers:
    """Return the matrix that maps centred labels to predictions without the image's own label.

    It is that of kernel ridge regression with a radial basis kernel of median width.
    """
    squares = (points**2).sum(axis=1)
    distances = (squares[:, np.newaxis] + squares - 2 * points @ points.T).clip(0)
    kernel = np.exp(-distances / max(float(np.median(distances)), 1e-12))
    kernel = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, np.newaxis] + kernel.mean()
    ridge = _RIDGE * float(np.trace(kernel)) / np.sqrt(len(kernel))
    hat: Numbers = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), kernel)
    own = hat.diagonal().copy()
    np.fill_diagonal(hat, 0)
    hat /= (1 - own)[:, np.newaxis]
    return hat


def _aurocs(labels: Numbers, smoother: Numbers) -> Numbers:
    """Return the area under the ROC curve of each row of labels, (rows,)."""
    predicted = (labels - labels[:1].mean()) @ smoother.T
    ranks = rankdata(predicted, axis=1)
    positives = labels[0].sum()
    negatives = labels.shape[1] - positives
    areas: Numbers = (ranks * labels).sum(axis=1) - positives * (positives + 1) / 2
    areas /= positives * negatives
    return areas
