"""Metrics of predictions of several labels per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, label_ranking_loss, log_loss, roc_auc_score

from headstart.arrays import Flags, Numbers, Probabilities, Targets
from headstart.evaluation.bootstrap import RESAMPLES, number_groups
from headstart.evaluation.label_results import UNDEFINED, Label, Sample, measure_label
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
    F1, DeLong's for the AUROC of a label, and those of the bootstrap for all others. With groups,
    they are those of the cluster bootstrap; see `measure`.

    Args:
        probabilities: Calibrated probability of each label, shape (images, classes).
        targets: 1 for a label that is present, 0 for absent, -1 for unknown, shape (images,
            classes); at least one image and one label.
        classes: The names of the labels, in the order of the columns.
        thresholds: For each label, the smallest probability with which it is predicted.
        groups: The group of each image, if images of a group are not independent.
    """
    images = len(targets)
    numbers, count = number_groups(np.array(groups) if len(groups) else None, images)
    resamples = int(np.clip(_MAX_WORK // targets.size, _FEWEST, RESAMPLES))
    sample = Sample(None if count == images else numbers, resamples)
    labels = [
        _label(name, threshold, probability, target, sample)
        for name, threshold, probability, target in zip(
            classes, thresholds, probabilities.T, targets.T, strict=True
        )
    ]
    results = tuple(map(measure_label, labels))
    every = _Every(labels, results, sample, images)
    pairs = _Pairs(probabilities, targets, probabilities >= np.array(thresholds))
    measured = [result for result in results if not result.unmeasured]
    return MultiEvaluation(
        images=images,
        per_class=results,
        auroc=every.means(Label.auroc, lambda result: result.auroc, pairs.auroc()),
        average_precision=every.means(
            Label.average_precision,
            lambda result: result.average_precision,
            pairs.average_precision(),
        ),
        f1=every.means(Label.f1, lambda result: result.f1, sample.measure(pairs.f1())),
        subset_accuracy=sample.measure(pairs.subset_accuracy()),
        ranking_loss=pairs.ranking_loss(),
        ece=_mean(result.ece for result in measured),
        log_loss=pairs.log_loss(),
        cooccurrence=_cooccurrence(pairs.present),
        predicted_cooccurrence=_cooccurrence(pairs.predicted & pairs.known),
        prevalence=_mean(result.prevalence.value for result in measured),
        resamples=resamples,
        groups=None if count == images else count,
    )


def _label(
    name: str, threshold: float, probability: Numbers, target: Targets, sample: Sample
) -> Label:
    rows = np.flatnonzero(target >= 0)
    return Label(name, threshold, rows, probability[rows], target[rows] == 1, sample.take(rows))


@dataclass(frozen=True, eq=False)
class _Every:
    """All labels with their results, for means over those that are measured."""

    labels: Sequence[Label]
    results: Sequence[LabelResult]
    sample: Sample
    images: int

    def means(
        self,
        metric: Callable[[Label], Metric],
        value: Callable[[LabelResult], MetricValue],
        micro: MetricValue,
    ) -> Means:
        measured = [
            (label, value(result))
            for label, result in zip(self.labels, self.results, strict=True)
            if label.is_measurable
        ]
        if not measured:
            return Means(UNDEFINED, micro, UNDEFINED)
        values = [each.value for _, each in measured if each.value is not None]
        weights = [int(label.positive.sum()) for label, _ in measured]
        weighted = MetricValue(float(np.average(values, weights=weights)))
        if len(measured) == 1:
            return Means(measured[0][1], micro, weighted)
        metrics = [(metric(label), label.rows) for label, _ in measured]
        return Means(self.sample.measure(MacroMean.of(metrics, self.images)), micro, weighted)


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
        """Return the label ranking loss; None with fewer than two labels."""
        if self.targets.shape[1] < 2:
            return None
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
