"""What the search for series finds, and how near to the truth folds are that keep them together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.near_copies import COPIES, POOL, TASK, Material
from headstart.arrays import Features, Rows, Targets
from headstart.data.splits import stratified_folds
from headstart.evaluation.agreement import find_disagreement
from headstart.evaluation.clusters import cluster, find_neighbours
from headstart.evaluation.intervals import wilson
from headstart.evaluation.series import FoundSeries, find_series
from headstart.heads.problem import effort_for
from headstart.record import Estimate

SUBJECTS, PLAIN, TEST, SAMPLE = 100, 400, 1000, 400
# Clothes that are easily distinguished.
FAR = ("T-shirt", "Bag", "Ankle boot")
WIDTH = 1280


@dataclass(frozen=True)
class Training:
    """A training part.

    Attributes:
        kind: "series", "plain", or "plain, far classes".
        features: Shape (images, width).
        targets: Shape (images,).
        subjects: The picture of which each image is a copy, shape (images,).
        test: Rows of the test pictures.
    """

    kind: str
    features: Features
    targets: Targets
    subjects: Rows
    test: Rows

    def names(self, *, related: bool) -> list[str]:
        """Return names that tell the subject, or not."""
        count = range(len(self.targets))
        if not related:
            return [f"{number:05d}.jpg" for number in count]
        return [f"{self.subjects[number]:04d}-{number:05d}.jpg" for number in count]


@dataclass(frozen=True)
class Result:
    """One draw, one kind of folds.

    Attributes:
        accuracy: The estimate.
        truth: Accuracy on the test part.
        log_loss: The estimate.
        true_log_loss: Log loss on the test part, calibrated on the folds.
        found: Whether series were found without related names.
        silent: Whether nothing was said, without related names.
    """

    accuracy: float
    truth: float
    log_loss: float
    true_log_loss: float
    found: bool
    silent: bool


def print_search(material: Material) -> None:
    """Print what the search finds, and the time that it takes."""
    print("| images | names | series | nearest in the same series | by chance | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    last = material.layout.columns("last")
    subjects = np.repeat(np.arange(POOL), COPIES)
    near = material.copies.reshape(len(subjects), -1)
    others = material.features[POOL:]
    rows = np.arange(0)
    for label, training in (
        ("near copies", Training("", near, material.targets[:POOL][subjects], subjects, rows)),
        ("other pictures", Training("", others, material.targets[POOL:], subjects, rows)),
    ):
        for related in (True, False):
            names, features = training.names(related=related), training.features[:, last]
            print(f"| {len(names)} {label} ", end="")
            _print_search(names, features, training.targets, "related" if related else "numbers")
    rng = np.random.default_rng(0)
    for kind in (np.float32, np.float16):
        noise = rng.standard_normal((10_000, WIDTH), dtype=np.float32).astype(kind)
        names = [f"{number // COPIES:04d}-{number:05d}.jpg" for number in range(len(noise))]
        print(f"| {len(noise)} times noise in {np.dtype(kind).name} ", end="")
        _print_search(names, noise, np.arange(len(noise)) % 10, "related")
    print(flush=True)


def _print_search(names: Sequence[str], features: Features, targets: Targets, related: str) -> None:
    begin = time.perf_counter()
    found = find_series(names, features, targets, names)
    seconds = time.perf_counter() - begin
    shares = _shares(found) if found else "none | | "
    print(f"| {related} | {shares} | {seconds:.2f} |")


def _shares(found: FoundSeries) -> str:
    series = found.series
    if series.chance is None:
        return f"{series.count} clusters | ({series.share:.0%} near) | "
    return f"{series.count} | {series.share:.0%} | {series.chance:.1%}"


def print_estimates(material: Material, draws: int) -> None:
    """Print the estimates of several kinds of folds beside the truth."""
    results: dict[tuple[str, str], list[Result]] = {}
    for seed in range(draws):
        for training in _draw(material, seed):
            for kept, result in _measure(material, training):
                results.setdefault((training.kind, kept), []).append(result)
    print(
        "| training part | folds keep together | accuracy by folds | truth | difference "
        "| off by > 5 points | of these silent | log loss by folds | truth | series found |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (kind, kept), several in results.items():
        _print_estimate(kind, kept, several)
    print(flush=True)


def _draw(material: Material, seed: int) -> Iterator[Training]:
    """Yield training parts, and test parts of other pictures."""
    order = np.random.default_rng(seed).permutation(len(material.targets))
    pool, others = order[order < POOL][:SUBJECTS], order[order >= POOL]
    test, rest = others[:TEST], others[TEST:]
    subjects = pool.repeat(COPIES)
    near = material.copies[pool].reshape(len(subjects), -1)
    yield Training("series", near, material.targets[subjects], subjects, test)
    yield _pictures(material, "plain", rest[:PLAIN], test)
    far = [number for number, name in enumerate(material.classes) if name in FAR]
    if far:
        train, other = (rows[np.isin(material.targets[rows], far)] for rows in (rest, test))
        yield _pictures(material, "plain, far classes", train, other)


def _pictures(material: Material, kind: str, rows: Rows, test: Rows) -> Training:
    return Training(kind, material.features[rows], material.targets[rows], rows, test)


def _measure(material: Material, training: Training) -> Iterator[tuple[str, Result]]:
    """Yield what folds keep together, and the result."""
    last, targets = training.features[:, material.layout.columns("last")], training.targets
    alone = np.arange(len(last))
    sample = np.random.default_rng(0).permutation(alone)[:SAMPLE]
    clusters = cluster(last, targets, find_neighbours(last, targets, alone, sample))
    assert clusters is not None
    names = training.names(related=False)
    found = find_series(names, last, targets, names) is not None
    ways = {"nothing": alone, "clusters": clusters, "the series": training.subjects}
    for kept, groups in ways.items():
        if kept != "the series" or training.kind == "series":
            yield kept, _result(material, training, groups, found=found)


def _result(material: Material, training: Training, groups: Rows, *, found: bool) -> Result:
    count = effort_for(len(training.targets), len(material.classes)).folds
    folds = stratified_folds(training.targets, groups.astype(str).tolist(), folds=count, seed=0)
    fit = material.fit(training.features, training.targets, folds)
    assert fit.held_out is not None
    row, truth = fit.candidates[0], material.targets[training.test]
    scores = fit.head.logits(
        material.features[training.test][:, material.layout.columns(fit.features)]
    )
    temperature = TASK.temperature(fit.held_out.logits, training.targets[fit.held_out.rows])
    loss = float(TASK.losses(TASK.probabilities(scores, temperature), truth).mean())
    accuracy = float(TASK.correct(scores, truth).mean())
    interval = wilson(round(row.accuracy * row.images), row.images)
    estimate = Estimate(row.accuracy, interval, row.log_loss, row.images)
    differs = find_disagreement(estimate, "test", accuracy, len(truth), kept="copies")
    silent = not found and differs is None
    return Result(row.accuracy, accuracy, row.log_loss, loss, found, silent)


def _print_estimate(kind: str, kept: str, results: Sequence[Result]) -> None:
    estimate, truth, loss, true_loss = (
        np.array([getattr(one, name) for one in results])
        for name in ("accuracy", "truth", "log_loss", "true_log_loss")
    )
    difference = 100 * (estimate - truth)
    error = np.std(difference, ddof=1) / len(difference) ** 0.5
    off = np.abs(difference) > 5
    silent = sum(one.silent for one, flag in zip(results, off, strict=True) if flag)
    print(
        f"| {kind} | {kept} | {estimate.mean():.1%} | {truth.mean():.1%} "
        f"| {difference.mean():+.1f} ± {error:.1f} points | {off.sum()} of {len(off)} | {silent} "
        f"| {loss.mean():.3f} | {true_loss.mean():.3f} "
        f"| {sum(one.found for one in results)} of {len(off)} |"
    )
