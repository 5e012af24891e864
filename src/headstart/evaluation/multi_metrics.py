"""Metrics of predictions of several labels per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, label_ranking_loss, log_loss, roc_auc_score

from headstart.arrays import Flags, Numbers, Probabilities, Targets
from headstart.evaluation.bootstrap import RESAMPLES, number_groups
from headstart.evaluation.label_results import UNDEFINED, Label, Sample, measure_label
from headstart.evaluation.macro_auroc import measure_macro_auroc
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.weighted_metrics import Metric, Rate, Ratio
from headstart.record import LabelResult, Means, MetricValue, MultiEvaluation

# With more pairs of an image and a label, times resamples, fewer resamples are drawn, so that
# intervals take seconds and not minutes.
_MAX_WORK = 10**8
_FEWEST = 500


def evaluate_labels(
    probabilities: Probabilities,
    targets: Targets,
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    groups: Sequence[str] = (),
) -> MultiEvaluation:
    """Evaluate predicted probabilities, for several labels per image.

    Unknown values are left out of all metrics. Without groups, intervals are Wilson's for rates and
    F1, DeLong's for the AUROC of a label and the macro AUROC, and those of the bootstrap for all
    others. With groups, they are those of the cluster bootstrap; see `measure`.

    Args:
        probabilities: Calibrated probability of each label, shape (images, classes).
        targets: 1 for a label that is present, 0 for absent, -1 for unknown, shape (images,
            classes); at least one image and one label.
        classes: The names of the labels, in the order of the columns.
        thresholds: For each label, the smallest probability with which it is predicted.
        groups: The group of each image, if images of a group are not independent.
    """
    sample, count = _sample(targets, groups)
    labels = [
        _label(name, threshold, probability, target, sample)
        for name, threshold, probability, target in zip(
            classes, thresholds, probabilities.T, targets.T, strict=True
        )
    ]
    pairs = _Pairs(probabilities, targets, probabilities >= np.array(thresholds))
    return _assembled(labels, tuple(map(measure_label, labels)), pairs, sample, count)


def _assembled(
    labels: Sequence[Label],
    results: tuple[LabelResult, ...],
    pairs: _Pairs,
    sample: Sample,
    groups: int | None,
) -> MultiEvaluation:
    measured = [result for result in results if not result.unmeasured]
    every = _Every([label for label in labels if label.is_measurable], measured, sample)
    return MultiEvaluation(
        images=len(pairs.targets),
        per_class=results,
        auroc=every.auroc(pairs.auroc()),
        average_precision=every.average_precision(pairs.average_precision()),
        f1=every.f1(sample.measure(pairs.f1())),
        subset_accuracy=sample.measure(pairs.subset_accuracy()),
        ranking_loss=pairs.ranking_loss(),
        ece=_mean(result.ece for result in measured),
        log_loss=pairs.log_loss(),
        cooccurrence=_cooccurrence(pairs.present),
        predicted_cooccurrence=_cooccurrence(pairs.predicted & pairs.known),
        prevalence=_mean(result.prevalence.value for result in measured),
        resamples=sample.resamples,
        groups=groups,
    )


def _sample(targets: Targets, groups: Sequence[str]) -> tuple[Sample, int | None]:
    """Return how intervals are computed, and the number of groups; None if each is one image."""
    images = len(targets)
    resamples = int(np.clip(_MAX_WORK // targets.size, _FEWEST, RESAMPLES))
    numbers, count = number_groups(np.array(groups) if len(groups) else None, images)
    if count == images:
        return Sample(images, None, resamples), None
    return Sample(images, numbers, resamples), count


def _label(
    name: str, threshold: float, probability: Numbers, target: Targets, sample: Sample
) -> Label:
    rows = np.flatnonzero(target >= 0)
    return Label(name, threshold, rows, probability[rows], target[rows] == 1, sample.take(rows))


@dataclass(frozen=True, eq=False)
class _Every:
    """The labels that are measured, with their results, for means over them."""

    labels: Sequence[Label]
    results: Sequence[LabelResult]
    sample: Sample

    def auroc(self, micro: MetricValue) -> Means:
        """Return the means of the AUROC; DeLong's method needs independent images."""

        def macro() -> MetricValue:
            if self.sample.groups is None:
                return measure_macro_auroc(self.labels, self.sample.images)
            return self._mean_of(Label.auroc)

        return self._means([result.auroc for result in self.results], macro, micro)

    def average_precision(self, micro: MetricValue) -> Means:
        """Return the means of the average precision."""
        values = [result.average_precision for result in self.results]
        return self._means(values, lambda: self._mean_of(Label.average_precision), micro)

    def f1(self, micro: MetricValue) -> Means:
        """Return the means of F1."""
        values = [result.f1 for result in self.results]
        return self._means(values, lambda: self._mean_of(Label.f1), micro)

    def _means(
        self, metrics: Sequence[MetricValue], macro: Callable[[], MetricValue], micro: MetricValue
    ) -> Means:
        values = [metric.value for metric in metrics if metric.value is not None]
        if not values:
            return Means(UNDEFINED, micro, UNDEFINED)
        weights = [result.positives for result in self.results]
        weighted = MetricValue(float(np.average(values, weights=weights)))
        return Means(metrics[0] if len(metrics) == 1 else macro(), micro, weighted)

    def _mean_of(self, metric: Callable[[Label], Metric]) -> MetricValue:
        """Return the macro mean of a metric, with the interval of the bootstrap."""
        metrics = [(metric(label), label.rows) for label in self.labels]
        return self.sample.measure(MacroMean.of(metrics, self.sample.images))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """All pairs of an image and a label, (images, classes)."""

    probabilities: Probabilities
    targets: Targets
    predicted: Flags

    @property
    def known(self) -> Flags:
        return np.asarray(self.targets >= 0)

    @property
    def present(self) -> Flags:
        return np.asarray(self.targets == 1)

    def auroc(self) -> MetricValue:
        truth, probability = self._flat()
        if truth.all() or not truth.any():
            return UNDEFINED
        return MetricValue(float(roc_auc_score(truth, probability)))

    def average_precision(self) -> MetricValue:
        truth, probability = self._flat()
        if truth.all() or not truth.any():
            return UNDEFINED
        return MetricValue(float(average_precision_score(truth, probability)))

    def f1(self) -> Ratio:
        predicted = self.predicted & self.known
        hits = (predicted & self.present).sum(axis=1)
        either = predicted.sum(axis=1) + self.present.sum(axis=1)
        return Ratio(2.0 * hits, either.astype(np.float64))

    def subset_accuracy(self) -> Rate:
        correct = (self.predicted == self.present) | ~self.known
        return Rate(np.asarray(correct.all(axis=1)), np.asarray(self.known.any(axis=1)))

    def log_loss(self) -> float | None:
        truth, probability = self._flat()
        if not len(truth):
            return None
        return float(log_loss(truth, np.clip(probability, 1e-12, 1 - 1e-12), labels=[0, 1]))

    def ranking_loss(self) -> float | None:
        """Return the label ranking loss; None with fewer than two labels, or no image that counts.

        Images count if they have a known present and a known absent label. Fully known images with
        no such pair count as 0, as in scikit-learn.
        """
        mixed = self.present.any(axis=1) & (self.known & ~self.present).any(axis=1)
        counted = mixed | self.known.all(axis=1)
        if self.targets.shape[1] < 2 or not counted.any():
            return None
        return _Pairs(
            self.probabilities[counted], self.targets[counted], self.predicted[counted]
        )._mean_ranking_loss()

    def _mean_ranking_loss(self) -> float:
        # Below all known labels, an unknown one is in no wrong pair of scikit-learn's absent and
        # present labels. It is in pairs that are counted, which the weight of the image undoes.
        scores = np.where(self.known, self.probabilities, -1.0)
        absent = (self.known & ~self.present).sum(axis=1)
        weights = np.where(absent, (~self.present).sum(axis=1) / np.maximum(absent, 1), 1.0)
        loss = label_ranking_loss(self.present, scores, sample_weight=weights)
        return float(loss * weights.mean())

    def _flat(self) -> tuple[Flags, Numbers]:
        """Return the truth and the probability of all known pairs."""
        return self.present[self.known], self.probabilities[self.known]


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the defined values; None without any."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _cooccurrence(flags: Flags) -> tuple[tuple[int, ...], ...]:
    """Return the number of images in which both labels of each pair are set, (classes, classes)."""
    # Exact in double precision, for which there is a fast matrix product.
    both = flags.T.astype(np.float64) @ flags.astype(np.float64)
    return tuple(map(tuple, both.astype(np.int64).tolist()))
