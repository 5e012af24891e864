"""The mean of a metric over labels, as a metric of weighted images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Numbers, Rows
from headstart.evaluation.weighted_metrics import Metric, measure_once


@dataclass(frozen=True, eq=False)
class LabelMetric:
    """A metric of one label.

    Attributes:
        metric: The metric of the images for which the label is known.
        rows: The rows of these images in the whole set, in ascending order.
        value: The metric of all of them.
    """

    metric: Metric
    rows: Rows
    value: float

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
    def of(cls, metrics: Sequence[tuple[Metric, Rows]], images: int) -> MacroMean:
        """Return the mean of metrics.

        Args:
            metrics: The metric of each label, and the rows of the images that it is of. Labels for
                which it is undefined are left out.
            images: The number of images in the set.
        """
        values = [measure_once(metric) for metric, _ in metrics]
        labels = tuple(
            LabelMetric(metric, rows, value)
            for (metric, rows), value in zip(metrics, values, strict=True)
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
        taken = []
        for label in self.labels:
            position = np.full(self.images, -1)
            position[label.rows] = np.arange(len(label.rows))
            known = np.flatnonzero(position[rows] >= 0)
            taken.append((label.metric.take(position[rows[known]]), known))
        return MacroMean.of(taken, len(rows))
