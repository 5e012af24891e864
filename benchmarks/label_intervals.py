"""Coverage of the intervals of several labels per image, in simulations, and how long they take.

python -m benchmarks.label_intervals [coverage|time] [SIMULATIONS]

The scores of a label are normal given a latent severity, above a limit of which an image has the
label; severities of labels are correlated. A tenth of the values is unknown.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from benchmarks.machine import describe
from headstart.arrays import Numbers, Probabilities, Rows, Targets
from headstart.evaluation.bootstrap import bootstrap
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.multi_metrics import evaluate_labels
from headstart.evaluation.weighted_metrics import AreaUnderRoc, f1
from headstart.record import Interval

PREVALENCES = np.array([0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4])
IMAGES, UNKNOWN, THRESHOLD = 300, 0.1, 0.3
NAMES = [f"prevalence {prevalence:g}" for prevalence in PREVALENCES]

Means = dict[str, float]
"""Metrics of all images that there are, by name."""


def main() -> None:
    """Print the coverage of intervals, or the time that they take."""
    name = sys.argv[1] if len(sys.argv) > 1 else "coverage"
    print(f"machine: {describe()}")
    print_times() if name == "time" else print_coverage(int((*sys.argv, 300)[2]))


@dataclass(frozen=True, eq=False)
class Dropping:
    """A macro mean that leaves out labels, or whole resamples, that are undefined."""

    mean: MacroMean
    resamples: bool

    @property
    def images(self) -> int:
        """The number of images."""
        return self.mean.images

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the mean for each set of weights, (sets,)."""
        values = np.array([each.metric(weights[:, each.rows]) for each in self.mean.labels])
        return np.asarray((np.mean if self.resamples else np.nanmean)(values, axis=0))

    def take(self, rows: Rows) -> "Dropping":
        """Return the mean for some of the images."""
        return Dropping(self.mean.take(rows), self.resamples)


def print_coverage(simulations: int) -> None:
    """Print the share of simulated test parts whose intervals contain the true value."""
    model = np.random.default_rng(5)
    steepness, loadings = model.uniform(0.4, 1.5, 8), model.normal(size=(3, 8)) * 0.7
    limits = limits_of(loadings)
    truth = true_values(
        *draw_images(np.random.default_rng(1), 400_000, steepness, loadings, limits)
    )
    covered = defaultdict(list)
    for seed in range(simulations):
        draw = np.random.default_rng(100 + seed)
        probabilities, targets = draw_images(draw, IMAGES, steepness, loadings, limits)
        targets[draw.random(targets.shape) < UNKNOWN] = -1
        for name, key, interval in intervals(probabilities, targets):
            if interval:
                covered[name].append(interval[0] <= truth[key] <= interval[1])
    print(f"\n| {IMAGES} images, {simulations} simulations | coverage |\n| --- | --- |")
    for name, flags in covered.items():
        print(f"| {name} | {np.mean(flags):.1%} |")


def limits_of(loadings: Numbers) -> Numbers:
    """Return the severities above which images have the labels."""
    severity = severities(np.random.default_rng(0), 400_000, loadings)
    return np.array([np.quantile(severity[:, k], 1 - PREVALENCES[k]) for k in range(8)])


def severities(draw: np.random.Generator, images: int, loadings: Numbers) -> Numbers:
    """Draw the severity of each label in each image, (images, labels)."""
    return draw.normal(size=(images, 3)) @ loadings + draw.normal(size=(images, 8))


def draw_images(
    draw: np.random.Generator, images: int, steepness: Numbers, loadings: Numbers, limits: Numbers
) -> tuple[Probabilities, Targets]:
    """Draw probabilities and labels."""
    excess = severities(draw, images, loadings) - limits
    return expit(steepness * excess + draw.normal(size=excess.shape)), (excess > 0).astype(int)


def true_values(probabilities: Probabilities, targets: Targets) -> Means:
    """Return the metrics of very many images."""
    predicted = probabilities >= THRESHOLD
    f1_scores = f1_score(targets, predicted, average=None)
    return {
        "macro AUROC": roc_auc_score(targets, probabilities),
        "macro AP": average_precision_score(targets, probabilities),
        "macro F1": f1_scores.mean(),
        "micro F1": f1_score(targets, predicted, average="micro"),
        **{f"F1 {name}": value for name, value in zip(NAMES, f1_scores, strict=True)},
    }


def intervals(
    probabilities: Probabilities, targets: Targets
) -> Iterator[tuple[str, str, Interval | None]]:
    """Yield the name of each interval, the name of its true value, and the interval."""
    found = evaluate_labels(probabilities, targets, NAMES, [THRESHOLD] * 8)
    yield "macro AUROC", "macro AUROC", found.auroc.macro.ci95
    mean = macro_auroc(probabilities, targets)
    yield "macro AUROC, bootstrap", "macro AUROC", bootstrap(mean).ci95
    for name, resamples in (("labels", False), ("resamples", True)):
        left_out = bootstrap(Dropping(mean, resamples)).ci95
        yield f"macro AUROC, undefined {name} left out", "macro AUROC", left_out
    yield "macro average precision", "macro AP", found.average_precision.macro.ci95
    yield "macro F1", "macro F1", found.f1.macro.ci95
    yield "micro F1", "micro F1", found.f1.micro.ci95
    for number, result in enumerate(found.per_class):
        known = targets[:, number] >= 0
        flags = probabilities[known, number] >= THRESHOLD, targets[known, number] == 1
        yield f"F1, {result.name}", f"F1 {result.name}", result.f1.ci95
        yield f"F1, {result.name}, bootstrap", f"F1 {result.name}", bootstrap(f1(*flags)).ci95


def macro_auroc(probabilities: Probabilities, targets: Targets) -> MacroMean:
    """Return the macro AUROC as a metric."""
    metrics = []
    for probability, target in zip(probabilities.T, targets.T, strict=True):
        rows = np.flatnonzero(target >= 0)
        metrics.append((AreaUnderRoc(probability[rows], target[rows] == 1), rows))
    return MacroMean.of(metrics, len(targets))


def print_times() -> None:
    """Print the time of one evaluation."""
    print("\n| images | labels | groups | resamples | seconds of one core |")
    print("| --- | --- | --- | --- | --- |")
    for images, labels, grouped in ((1000, 14, 0), (1000, 14, 1), (2000, 200, 0), (25_000, 14, 0)):
        draw = np.random.default_rng(0)
        probabilities = draw.random((images, labels))
        targets = (draw.random((images, labels)) < probabilities * 0.3).astype(np.int64)
        groups = [str(number // 3) for number in range(images)] if grouped else ()
        names, start = [str(number) for number in range(labels)], process_time()
        found = evaluate_labels(probabilities, targets, names, [0.5] * labels, groups=groups)
        seconds = process_time() - start
        print(f"| {images:,} | {labels} | {found.groups} | {found.resamples} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
