"""Temperature scaling, so that probabilities are as often right as they say."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from headstart.arrays import Scores, Targets

_COLDEST, _HOTTEST = 0.01, 100.0


def fit_temperature(logits: Scores, labels: Targets) -> float:
    """Find the divisor of scores that gives held-out images the lowest log loss.

    Follows Guo et al., "On calibration of modern neural networks" (2017), with Platt's (1999)
    allowance for what few images cannot rule out: of n images, 1 / (n + 2) is expected to be
    predicted wrongly, so that 20 images without a mistake do not make a model certain.

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
