"""Power laws through the points of a learning curve: error = floor + scale * images^-exponent."""

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Numbers
from headstart.record.learning_curve import PowerLaw

EXPONENTS = np.arange(0.1, 1.01, 0.05)
"""The exponents that are weighted by how well they fit."""


@dataclass(frozen=True)
class Curves:
    """Power laws: the error with `factor` times as many images, as columns of shape (curves,)."""

    floor: Numbers
    scale: Numbers
    exponent: Numbers

    def errors(self, factor: float) -> Numbers:
        """Return the error with some times as many images as the most learnt from, (curves,)."""
        return np.asarray(self.floor + self.scale * factor**-self.exponent)


@dataclass(frozen=True)
class Law:
    """The power law at given sizes, fitted by generalised least squares for each exponent.

    Attributes:
        learnt: The number of images learnt from, shape (sizes,).
        covariance: That of the points, shape (sizes, sizes).
        most: The number that stands for a factor of 1.
    """

    learnt: Numbers
    covariance: Numbers
    most: float

    def fit(self, errors: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Return floor, scale, both at least 0, and probability of each exponent.

        Args:
            errors: Shape (curves, sizes).

        Returns:
            Three arrays, each of shape (curves, exponents).
        """
        whiten = np.linalg.inv(np.linalg.cholesky(self.covariance))
        ones, points = whiten.sum(axis=1), errors @ whiten.T
        columns = [_one_exponent(ones, whiten @ self._basis(c), points) for c in EXPONENTS]
        floor, scale, misfit = np.stack(columns, axis=2)
        likelihood = np.exp(-(misfit - misfit.min(axis=1, keepdims=True)) / 2)
        return floor, scale, likelihood / likelihood.sum(axis=1, keepdims=True)

    def _basis(self, exponent: float) -> Numbers:
        return np.asarray((self.learnt / self.most) ** -exponent)

    def draw(self, errors: Numbers, draw: np.random.Generator) -> Curves:
        """Return a curve through each row of errors, with an exponent by its probability."""
        floor, scale, probability = self.fit(errors)
        below = probability.cumsum(axis=1) < draw.uniform(size=(len(errors), 1))
        rows, chosen = np.arange(len(errors)), np.minimum(below.sum(axis=1), len(EXPONENTS) - 1)
        return Curves(floor[rows, chosen], scale[rows, chosen], EXPONENTS[chosen])

    def mean_error(self, errors: Numbers, factor: float) -> float:
        """Return the forecast of one row of errors, mean over the exponents."""
        floor, scale, probability = (each[0] for each in self.fit(errors[np.newaxis]))
        return float(probability @ (floor + scale * factor**-EXPONENTS))

    def best(self, errors: Numbers) -> PowerLaw:
        """Return the curve with the most probable exponent."""
        floor, scale, probability = (each[0] for each in self.fit(errors[np.newaxis]))
        best = int(probability.argmax())
        return PowerLaw(
            float(floor[best]), float(scale[best]), float(EXPONENTS[best]), round(self.most)
        )


def _one_exponent(ones: Numbers, basis: Numbers, points: Numbers) -> Numbers:
    """Return floor, scale and sum of squares for one exponent, shape (3, curves).

    Args:
        ones: The column of the floor, shape (sizes,); all are whitened.
        basis: The column of the scale, shape (sizes,).
        points: Shape (curves, sizes).
    """
    both = np.stack([ones, basis], axis=1)
    floor, scale = np.linalg.lstsq(both, points.T, rcond=None)[0]
    only_floor, only_scale = points @ ones / (ones @ ones), points @ basis / (basis @ basis)
    flat, free = scale < 0, floor < 0
    floor = np.where(flat, only_floor, np.where(free, 0.0, floor))
    scale = np.where(flat, 0.0, np.where(free, only_scale, scale))
    misfit = ((points - np.outer(floor, ones) - np.outer(scale, basis)) ** 2).sum(axis=1)
    return np.stack([floor, scale, misfit])
