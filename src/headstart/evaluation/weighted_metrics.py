"""Metrics of weighted images, computed for many sets of weights at once.

A bootstrap resample is a set of weights (how often each image was drawn), and so are a slice and
its permutations (1 for images of the slice, 0 for others). A metric that takes weights is
therefore written once and serves all of them, without a loop over resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headstart.arrays import Flags, Numbers, Rows


class Metric(Protocol):
    """A metric of the images of a set."""

    @property
    def images(self) -> int:
        """The number of images in the set."""
        ...

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the metric for each set of weights.

        Args:
            weights: Weights of the images, at least 0, shape (sets, images).

        Returns:
            Shape (sets,); NaN where the metric is undefined.
        """
        ...

    def take(self, rows: Rows) -> Metric:
        """Return the same metric of some of the images."""
        ...


@dataclass(frozen=True, eq=False)
class Rate:
    """The share of some images that are hits, such as accuracy, sensitivity or precision.

    Attributes:
        hits: Which images are hits, shape (images,).
        among: The images that count, shape (images,). Undefined without any.
    """

    hits: Flags
    among: Flags

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.hits)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the share for each set of weights, (sets,)."""
        return _divide(weights @ (self.hits & self.among), weights @ self.among)

    def take(self, rows: Rows) -> Rate:
        """Return the share among some of the images."""
        return Rate(self.hits[rows], self.among[rows])


@dataclass(frozen=True, eq=False)
class Ratio:
    """The ratio of two sums over images, such as a mean or F1.

    Attributes:
        numerator: The summands above, shape (images,).
        denominator: The summands below, shape (images,). Undefined if their sum is 0.
    """

    numerator: Numbers
    denominator: Numbers

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.numerator)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the ratio for each set of weights, (sets,)."""
        return _divide(weights @ self.numerator, weights @ self.denominator)

    def take(self, rows: Rows) -> Ratio:
        """Return the ratio for some of the images."""
        return Ratio(self.numerator[rows], self.denominator[rows])


@dataclass(frozen=True, eq=False)
class AreaUnderRoc:
    """The area under the ROC curve; ties count as half.

    Attributes:
        scores: Scores or probabilities, higher for positive images, shape (images,).
        positive: Which images are positive, shape (images,). Undefined if all or none are.
    """

    scores: Numbers
    positive: Flags

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.scores)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the area for each set of weights, (sets,)."""
        positives, negatives = self.scores[self.positive], self.scores[~self.positive]
        order = np.argsort(negatives)
        below = _cumulative(weights[:, ~self.positive][:, order])
        first = np.searchsorted(negatives[order], positives, "left")
        last = np.searchsorted(negatives[order], positives, "right")
        # The weight of the negatives with a lower score, and half of those with an equal one.
        passed = below[:, first] if (first == last).all() else below[:, first] + below[:, last]
        own = weights[:, self.positive]
        half = 1 if (first == last).all() else 2
        pairs = own.sum(axis=1) * below[:, -1] * half
        return _divide(np.einsum("si,si->s", own, passed), pairs)

    def take(self, rows: Rows) -> AreaUnderRoc:
        """Return the area for some of the images."""
        return AreaUnderRoc(self.scores[rows], self.positive[rows])


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """The mean of the precisions at the thresholds of the positive images, as in scikit-learn.

    Attributes:
        scores: Scores or probabilities, higher for positive images, shape (images,).
        positive: Which images are positive, shape (images,). Undefined if none are.
    """

    scores: Numbers
    positive: Flags

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.scores)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the average precision for each set of weights, (sets,)."""
        order = np.argsort(-self.scores)
        descending, positive = -self.scores[order], self.positive[order]
        predicted = _cumulative(weights[:, order])
        correct = _cumulative(weights[:, order] * positive)
        last = np.searchsorted(descending, descending[positive], "right")
        precision = np.nan_to_num(_divide(correct[:, last], predicted[:, last]))
        own = weights[:, order][:, positive]
        return _divide(np.einsum("si,si->s", own, precision), own.sum(axis=1))

    def take(self, rows: Rows) -> AveragePrecision:
        """Return the average precision for some of the images."""
        return AveragePrecision(self.scores[rows], self.positive[rows])


@dataclass(frozen=True)
class MeanOf:
    """The mean of several metrics of the same images, such as the macro AUROC.

    Attributes:
        metrics: At least one. The mean is undefined where one of them is.
    """

    metrics: tuple[Metric, ...]

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return self.metrics[0].images

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the mean for each set of weights, (sets,)."""
        return np.asarray(np.mean([metric(weights) for metric in self.metrics], axis=0))

    def take(self, rows: Rows) -> MeanOf:
        """Return the mean for some of the images."""
        return MeanOf(tuple(metric.take(rows) for metric in self.metrics))


@dataclass(frozen=True)
class Difference:
    """A first metric minus a second one of the same images, to compare two models.

    Attributes:
        first: The metric of the first model.
        second: The metric of the second model.
    """

    first: Metric
    second: Metric

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return self.first.images

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the difference for each set of weights, (sets,)."""
        return self.first(weights) - self.second(weights)

    def take(self, rows: Rows) -> Difference:
        """Return the difference for some of the images."""
        return Difference(self.first.take(rows), self.second.take(rows))


@dataclass(frozen=True, eq=False)
class OfRows:
    """Any other metric, computed from row numbers; slow, as it is called for each resample.

    Weights must be whole numbers: a row appears as often as its weight says.

    Attributes:
        function: Returns the metric of some rows, which may repeat; None if it is undefined.
        rows: The rows of the set, shape (images,).
    """

    function: Callable[[Rows], float | None]
    rows: Rows

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.rows)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the metric for each set of weights, (sets,)."""
        values = [self._value(np.repeat(self.rows, counts)) for counts in weights.astype(np.int64)]
        return np.array(values, dtype=np.float64)

    def take(self, rows: Rows) -> OfRows:
        """Return the metric for some of the images."""
        return OfRows(self.function, self.rows[rows])

    def _value(self, rows: Rows) -> float:
        value = self.function(rows) if len(rows) else None
        return np.nan if value is None else value


def mean_of_values(values: Numbers) -> Ratio:
    """Return the mean of one number per image, such as the log loss, as a metric.

    Args:
        values: Shape (images,).
    """
    return Ratio(values, np.ones(len(values)))


def f1(predicted: Flags, positive: Flags) -> Ratio:
    """Return F1, the harmonic mean of precision and recall, as a metric.

    It is undefined if no image is positive or predicted positive.

    Args:
        predicted: Which images are predicted positive, shape (images,).
        positive: Which images are positive, shape (images,).
    """
    hits, either = predicted & positive, predicted.astype(np.float64) + positive
    return Ratio(2 * hits.astype(np.float64), either)


def measure_once(metric: Metric) -> float | None:
    """Return a metric of all images, each counted once; None if it is undefined."""
    value = float(metric(np.ones((1, metric.images)))[0])
    return None if np.isnan(value) else value


def _cumulative(weights: Numbers) -> Numbers:
    """Return the weight of the first 0, 1, … images, (sets, images + 1)."""
    total = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=total[:, 1:])
    return total


def _divide(numerator: Numbers, denominator: Numbers) -> Numbers:
    """Divide; NaN where the denominator is 0."""
    result: Numbers = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
