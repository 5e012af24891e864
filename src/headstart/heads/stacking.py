"""The average of several heads, with weights that fit held-out images best.

A stacked head's probability is a weighted mean of the calibrated probabilities of its members
("stacked regressions": Breiman, 1996; "super learner": van der Laan et al., 2007). The weights are
not negative, sum to 1, and are drawn to equal weights by a Dirichlet prior, which matters with few
images: the choice of a single head is then often wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from headstart.arrays import Numbers, Scores, Targets, Temperature
from headstart.heads.fitted import FittedHead, StackModel, mean_scores
from headstart.task import Activation, Task

MIN_SHARE = 0.05
"""Heads with a smaller share are left out: they cost time and change little."""

_PRIOR = 1.0
"""The prior counts as much as this number of images that each head alone explains."""

_MAX_STEPS, _TOLERANCE = 100, 1e-6


@dataclass(frozen=True)
class Average:
    """The average of several heads, from their scores of the same held-out images.

    Attributes:
        shares: The weight of each head, (heads,), sum 1.
        temperatures: Divisor of each head's scores.
        scores: The scores of the average, (images, classes).
        activation: The function that turns scores into probabilities.
    """

    shares: Numbers
    temperatures: tuple[Temperature, ...]
    scores: Scores
    activation: Activation

    @classmethod
    def of(cls, scores: Sequence[Scores], targets: Targets, task: Task) -> Self:
        """Calibrate each head, and find the shares with which the average fits best.

        Args:
            scores: The scores of each head, (images, classes).
            targets: The labels of the images, as the task encodes them.
            task: The kind of label.
        """
        truth = task.encode(targets, scores[0].shape[1]).double()
        temperatures = tuple(task.temperature(each, targets) for each in scores)
        calibrated = np.stack([each / t for each, t in zip(scores, temperatures, strict=True)])
        losses, _ = task.loss_and_gradient(torch.from_numpy(calibrated).double(), truth)
        shares = _mixture_weights(losses.flatten(start_dim=1).numpy())
        activation = task.activation
        averaged = mean_scores(scores, shares, temperatures, activation)
        return cls(shares, temperatures, averaged, activation)

    def model(self, heads: Sequence[FittedHead]) -> StackModel:
        """Return the average of fitted heads, in the order of the scores."""
        shares = tuple(map(float, self.shares))
        return StackModel(tuple(heads), shares, self.temperatures, self.activation)


def _mixture_weights(losses: Numbers) -> Numbers:
    """Return the weights of a mixture with the highest posterior density, by Newton's method.

    The steps are damped, which makes them converge from any start (Boyd and Vandenberghe, "Convex
    optimization", 2004, section 9.6). That the weights sum to 1 follows from the last term of the
    gradient.

    Args:
        losses: Log loss of each head for each observation, (heads, observations). Observations
            with a loss of 0 by every head are not counted.
    """
    losses = losses[:, losses.any(axis=0)]
    likelihoods: Numbers = np.exp(losses.min(axis=0) - losses)
    heads, observations = losses.shape
    weights = np.full(heads, 1 / heads)
    for _ in range(_MAX_STEPS):
        shares = likelihoods / (weights @ likelihoods)
        gradient = shares.sum(axis=1) + _PRIOR / weights - (observations + heads * _PRIOR)
        curvature = shares @ shares.T + np.diag(_PRIOR / weights**2)
        step = np.linalg.solve(curvature, gradient)
        decrement = np.sqrt(gradient @ step)
        weights = weights + step / (1 + decrement)
        if decrement < _TOLERANCE:
            break
    return weights
