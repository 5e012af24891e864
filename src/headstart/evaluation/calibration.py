"""Temperature scaling, so that predicted probabilities match observed frequencies."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from headstart.arrays import Scores, Targets

_COLDEST, _HOTTEST = 0.01, 100.0


def fit_temperature(logits: Scores, labels: Targets) -> float:
    """Find the temperature, a divisor of the scores, with the lowest log loss on held-out images.

    Follows Guo et al., "On calibration of modern neural networks" (2017), with Platt's (1999)
    smoothed targets for few images: a share of 1 / (n + 2) of n images is expected to be wrong,
    so that 20 images without a mistake do not make a model certain.

    Args:
        logits: Scores of held-out images, shape (images, classes).
        labels: Their class numbers, shape (images,).

    Returns:
        The temperature, 0.01 to 100; above 1 if the model was overconfident.
    """
    rows = np.arange(len(labels))
    smoothing = 1 / (len(labels) + 2)

    def loss(temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / temperature, axis=1)
        true_class = scaled[rows, labels]
        others = (scaled.sum(axis=1) - true_class) / (logits.shape[1] - 1)
        return float(-((1 - smoothing) * true_class + smoothing * others).mean())

    return _minimise(loss)


def fit_label_temperatures(logits: Scores, targets: Targets) -> tuple[float, ...]:
    """Find the temperature of each label by itself, as `fit_temperature` does for all classes.

    Args:
        logits: Scores of held-out images, shape (images, labels).
        targets: 1 for a label that is present, 0 for one that is absent, -1 for an unknown one,
            which does not count; shape (images, labels).

    Returns:
        The temperatures, 0.01 to 100; 1 for a label of which nothing is known.
    """
    return tuple(
        _label_temperature(scores[known], truth[known])
        for scores, truth, known in zip(logits.T, targets.T, targets.T >= 0, strict=True)
    )


def _label_temperature(scores: Scores, truth: Targets) -> float:
    if not len(truth):
        return 1.0
    wrong = 1 / (len(truth) + 2)
    agreeing = np.where(truth == 1, scores, -scores).astype(np.float64)

    def loss(temperature: float) -> float:
        scaled = agreeing / temperature
        return float((np.logaddexp(0, -scaled) + wrong * scaled).mean())

    return _minimise(loss)


def _minimise(loss: Callable[[float], float]) -> float:
    """Return the temperature with the lowest loss."""
    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(lambda value: loss(np.exp(value)), bounds=bounds, method="bounded")
    return float(np.exp(found.x))
