"""Probabilities that mean what they say: temperature scaling."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from headstart.data.splits import Rows
from headstart.evaluation.metrics import Probabilities
from headstart.heads.fitted import Array

_COLDEST, _HOTTEST = 0.01, 100.0


def fit_temperature(logits: Array, labels: Rows) -> float:
    """Find the divisor of scores that gives held-out images the lowest log loss.

    Follows Guo et al., "On calibration of modern neural networks" (2017), with Platt's (1999)
    allowance for what few images cannot rule out: of n images, 1 / (n + 2) is expected to be told
    wrong, so that 20 images without a mistake do not make a model certain.

    Args:
        logits: Scores of images that the model did not learn from, shape (images, classes).
        labels: Their class numbers.

    Returns:
        Above 1 where the model was too sure, 0.01 to 100.
    """
    rows = np.arange(len(labels))
    doubt = 1 / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        right = scaled[rows, labels]
        others = (scaled.sum(axis=1) - right) / (logits.shape[1] - 1)
        return float(-((1 - doubt) * right + doubt * others).mean())

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def probabilities(logits: Array, temperature: float) -> Probabilities:
    """Turn scores (images, classes) into probabilities, rows summing to 1."""
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))
