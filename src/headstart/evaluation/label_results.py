"""Results for one of several labels per image, on the images for which it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.label_curves import (
    calibration_error,
    label_bins,
    precision_recall_points,
    roc_points,
)
from headstart.evaluation.measuring import measure
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    Ratio,
    f1,
)
from headstart.record import LabelResult, MetricValue

UNDEFINED = MetricValue(None)


@dataclass(frozen=True, eq=False)
class Sample:
    """What intervals need to know about images.

    Attributes:
        images: The number of images.
        groups: The number of each image's group, shape (images,); None if images are independent.
        resamples: The number of bootstrap resamples.
    """

    images: int
    groups: Rows | None
    resamples: int

    def take(self, rows: Rows) -> Sample:
        """Return the same for some of the images."""
        groups = None if self.groups is None else self.groups[rows]
        return Sample(len(rows), groups, self.resamples)

    def measure(self, metric: Metric) -> MetricValue:
        """Measure a metric of these images, with its interval."""
        found = measure(metric, self.groups, resamples=self.resamples)
        return MetricValue(found.value, found.ci95, found.method if found.ci95 else None)


@dataclass(frozen=True, eq=False)
class Label:
    """A label with its predictions, on the images for which it is known.

    Attributes:
        name: Its name.
        threshold: It is predicted if its probability is at least this.
        rows: The rows of these images in the whole set, in ascending order.
        probability: Its probability, shape (rows,).
        positive: Which images have it, shape (rows,).
        sample: What intervals need to know about these images.
    """

    name: str
    threshold: float
    rows: Rows
    probability: Numbers
    positive: Flags
    sample: Sample

    @property
    def predicted(self) -> Flags:
        """For which images it is predicted, shape (rows,)."""
        return np.asarray(self.probability >= self.threshold)

    @property
    def is_measurable(self) -> bool:
        """Whether some images have it and some do not."""
        return bool(self.positive.any() and not self.positive.all())

    def auroc(self) -> Metric:
        """Return the area under the ROC curve as a metric."""
        return AreaUnderRoc(self.probability, self.positive)

    def average_precision(self) -> Metric:
        """Return the average precision as a metric."""
        return AveragePrecision(self.probability, self.positive)

    def f1(self) -> Ratio:
        """Return F1 as a metric."""
        return f1(self.predicted, self.positive)


def measure_label(label: Label) -> LabelResult:
    """Return all results for a label; without metrics unless some images have it and some not."""
    positive, predicted, sample = label.positive, label.predicted, label.sample
    if not label.is_measurable:
        return _unmeasured(label)
    bins = label_bins(label.probability, positive)
    return LabelResult(
        name=label.name,
        known=len(positive),
        positives=int(positive.sum()),
        prevalence=_prevalence(label),
        auroc=sample.measure(label.auroc()),
        average_precision=sample.measure(label.average_precision()),
        threshold=label.threshold,
        precision=sample.measure(Rate(positive, predicted)),
        recall=sample.measure(Rate(predicted, positive)),
        specificity=sample.measure(Rate(~predicted, ~positive)),
        f1=_measure_f1(label),
        ece=calibration_error(bins),
        roc=roc_points(label.probability, positive),
        precision_recall=precision_recall_points(label.probability, positive),
        reliability=bins,
    )


def _unmeasured(label: Label) -> LabelResult:
    return LabelResult(
        name=label.name,
        known=len(label.positive),
        positives=int(label.positive.sum()),
        prevalence=_prevalence(label),
        auroc=UNDEFINED,
        average_precision=UNDEFINED,
        threshold=label.threshold,
        precision=UNDEFINED,
        recall=UNDEFINED,
        specificity=UNDEFINED,
        f1=UNDEFINED,
        ece=None,
        roc=(),
        precision_recall=(),
        reliability=(),
    )


def _prevalence(label: Label) -> MetricValue:
    everywhere = np.ones(len(label.rows), bool)
    return label.sample.measure(Rate(label.positive, everywhere)) if len(label.rows) else UNDEFINED


def _measure_f1(label: Label) -> MetricValue:
    """Measure F1, which increases with the share of images that are both predicted and positive.

    Of the images that are predicted or positive, a share of J is both, and F1 is 2 J / (1 + J). The
    bounds of the interval of J become bounds of F1 by the same formula, without a bootstrap.
    """
    both, either = label.predicted & label.positive, label.predicted | label.positive
    share = label.sample.measure(Rate(both, either))
    if share.value is None or share.ci95 is None:
        return MetricValue(None if share.value is None else _from_share(share.value))
    low, high = map(_from_share, share.ci95)
    return MetricValue(_from_share(share.value), (low, high), share.method)


def _from_share(share: float) -> float:
    return 2 * share / (1 + share)
