"""The mean of a metric over labels, as a metric of weighted images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.weighted_metrics import Metric, measure_once


@dataclass(frozen=True, eq=False)
class LabelMetric:
    """A metric of one label.

    Attributes:
        metric: The metric of the images for which the label is known.
        rows: The rows of these images in the whole set, in ascending order.
        value: The metric of all of them.
        positive: Which of them have the label, shape (rows,); None if the metric says where it is
            undefined.
    """

    metric: Metric
    rows: Rows
    value: float
    positive: Flags | None = None

    def difference(self, weights: Numbers) -> Numbers:
        """Return the metric minus that of all other images, for weights of 0 and 1, (sets,).

        NaN where either is undefined.
        """
        own = weights[:, self.rows]
        return self._defined(own) - self._defined(1 - own)

    def _defined(self, weights: Numbers) -> Numbers:
        values = self.metric(weights)
        if self.positive is None:
            return values
        some = (weights @ self.positive > 0) & (weights @ ~self.positive > 0)
        return np.where(some, values, np.nan)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the metric for each set of weights of all images, (sets,)."""
        values = self.metric(weights[:, self.rows])
        return np.where(np.isnan(values), self.value, values)


@dataclass(frozen=True, eq=False)
class MacroMean:
    """The mean of a metric over labels.

    A resample may have no image with a rare label, so that its metric is undefined. The label then
    counts with the value of all images. Without the label, the mean would change for no other
    reason than that labels differ; without the resample, a few rare labels would leave none.

    Attributes:
        labels: Those for which the metric is defined.
        images: The number of images in the set.
    """

    labels: tuple[LabelMetric, ...]
    images: int

    @classmethod
    def of(
        cls,
        metrics: Sequence[tuple[Metric, Rows]],
        images: int,
        positives: Sequence[Flags | None] | None = None,
    ) -> MacroMean:
        """Return the mean of metrics.

        Args:
            metrics: The metric of each label, and the rows of the images that it is of. Labels for
                which it is undefined are left out.
            images: The number of images in the set.
            positives: For each label, which of its rows have it. A part of the images in which all
                or none of them have a label leaves it out; None if only the metric decides.
        """
        values = [measure_once(metric) for metric, _ in metrics]
        labels = tuple(
            LabelMetric(metric, rows, value, positive)
            for (metric, rows), value, positive in zip(
                metrics, values, positives or [None] * len(metrics), strict=True
            )
            if value is not None
        )
        return cls(labels, images)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the mean for each set of weights, (sets,); NaN without any label."""
        if not self.labels:
            return np.full(len(weights), np.nan)
        total = np.zeros(len(weights))
        for label in self.labels:
            total += label(weights)
        return total / len(self.labels)

    def take(self, rows: Rows) -> MacroMean:
        """Return the mean for some of the images."""
        taken, positives = [], []
        for label in self.labels:
            position = np.full(self.images, -1)
            position[label.rows] = np.arange(len(label.rows))
            known = np.flatnonzero(position[rows] >= 0)
            own = position[rows[known]]
            positive = None if label.positive is None else label.positive[own]
            if positive is None or (positive.any() and not positive.all()):
                taken.append((label.metric.take(own), known))
                positives.append(positive)
        return MacroMean.of(taken, len(rows), positives)

    def difference(self, weights: Numbers) -> Numbers:
        """Return the mean minus that of all other images, over labels defined in both, (sets,).

        Args:
            weights: 1 for images of the part, 0 for others, shape (sets, images).
        """
        total, count = np.zeros(len(weights)), np.zeros(len(weights))
        for label in self.labels:
            values = label.difference(weights)
            total += np.nan_to_num(values)
            count += ~np.isnan(values)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
