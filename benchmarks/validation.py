"""Estimates on folds and on validation parts, with and without series.

python -m benchmarks.validation [all|solar|fashion] [DRAWS]

For each of the data sets: what the search for series finds; how near to the truth folds are that
keep series together; and choosing on a validation part against choosing on folds. In each draw, the
validation and the test part are distinct pictures. The training part is either other pictures
("plain"), or 20 near copies of each of 100 other pictures (40 for choosing; "series").
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.near_copies import COPIES, POOL, TASK, Material, prepare
from benchmarks.series import print_estimates, print_search
from headstart.arrays import Rows, Targets
from headstart.data.splits import stratified_folds
from headstart.evaluation.agreement import find_disagreement
from headstart.evaluation.intervals import wilson
from headstart.heads.choice import ValidationPart
from headstart.heads.problem import HeadFit
from headstart.record import Estimate

SUBJECTS, PLAIN, TEST = 40, 400, 1000
VAL_SIZES = {"plain": (20, 50, 100, 200), "series": (50, 200)}


@dataclass(frozen=True)
class Result:
    """One draw, one size of the validation part, one way of choosing.

    Attributes:
        way: "folds": chosen and calibrated on folds; "before": chosen on folds, calibrated on the
            validation part; "val": chosen and calibrated on the validation part; "default": on the
            one that decides.
        size: Number of validation images.
        log_loss: Mean log loss on the test part.
        folds: The chosen candidate's accuracy on folds.
        val: The model's accuracy on the validation part.
        test: The model's accuracy on the test part.
        warned: Whether folds and validation part, or folds and test part, disagree.
    """

    way: str
    size: int
    log_loss: float
    folds: float
    val: float
    test: float
    warned: tuple[bool, bool]


def main() -> None:
    """Print all tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "all"
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(f"machine: {describe()}; draws: {draws}\n", flush=True)
    for data in ("solar", "fashion") if name == "all" else (name,):
        with tempfile.TemporaryDirectory() as folder:
            material = prepare(data, Path(folder))
        print(f"## {data}\n")
        print_search(material)
        print_estimates(material, draws)
        for kind in ("plain", "series"):
            results = [_measure(material, kind, seed) for seed in range(draws)]
            _print_kind(kind, [result for draw in results for result in draw])


def _measure(material: Material, kind: str, seed: int) -> list[Result]:
    """Draw the parts, and measure the model that each way of choosing takes."""
    order = np.random.default_rng(seed).permutation(len(material.targets))
    subjects, others = order[order < POOL][:SUBJECTS], order[order >= POOL]
    test, pool, rest = others[:TEST], others[TEST : TEST + 200], others[-PLAIN:]
    features, targets = material.features[rest], material.targets[rest]
    if kind == "series":
        features = material.copies[subjects].reshape(len(subjects) * COPIES, -1)
        targets = np.repeat(material.targets[subjects], COPIES)
    groups = [str(number) for number in range(len(targets))]
    folds = stratified_folds(targets, groups, folds=5, seed=0)
    on_folds = material.fit(features, targets, folds)
    results = []
    for size in VAL_SIZES[kind]:
        rows = np.arange(len(targets) + size)
        part = material.features[pool[:size]], material.targets[pool[:size]]
        on_val = material.fit(
            np.concatenate([features, part[0]]),
            np.concatenate([targets, part[1]]),
            [(rows[: len(targets)], rows[len(targets) :])],
        )
        default = material.choice().fit(features, targets, groups, ValidationPart(*part))
        fits = {"folds": on_folds, "before": on_folds, "val": on_val, "default": default}
        for way, fit in fits.items():
            results.append(_result(material, way, fit, on_folds, pool[:size], test, targets))
    return results


def _result(
    material: Material,
    way: str,
    fit: HeadFit,
    on_folds: HeadFit,
    val: Rows,
    test: Rows,
    trained: Targets,
) -> Result:
    columns = material.layout.columns(fit.features)
    scores = {
        name: fit.head.logits(material.features[rows][:, columns])
        for name, rows in (("val", val), ("test", test))
    }
    truth = material.targets
    accuracy = {
        name: float(TASK.correct(scores[name], truth[rows]).mean())
        for name, rows in (("val", val), ("test", test))
    }
    assert on_folds.held_out is not None
    temperature = (
        TASK.temperature(on_folds.held_out.logits, trained[on_folds.held_out.rows])
        if way == "folds" or (way == "default" and fit.chosen_on == "folds")
        else TASK.temperature(scores["val"], truth[val])
    )
    losses = TASK.losses(TASK.probabilities(scores["test"], temperature), truth[test])
    same = (
        row
        for row in on_folds.candidates
        if (row.features, row.head) == (fit.features, fit.head.kind)
    )
    row = next(same, on_folds.candidates[0])
    interval = wilson(round(row.accuracy * row.images), row.images)
    estimate = Estimate(row.accuracy, interval, row.log_loss, row.images)
    warned = (
        find_disagreement(estimate, "val", accuracy["val"], len(val), kept="copies") is not None,
        find_disagreement(estimate, "test", accuracy["test"], len(test), kept="copies") is not None,
    )
    loss = float(losses.mean())
    return Result(way, len(val), loss, row.accuracy, accuracy["val"], accuracy["test"], warned)


def _print_kind(kind: str, results: Sequence[Result]) -> None:
    print(
        f"**Choosing, {kind}**\n\n| val | way | log loss | accuracy | folds say | val says "
        "| off by > 5 points | of these warned, val / test | other warnings, val / test |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in VAL_SIZES[kind]:
        for way in ("folds", "before", "val", "default"):
            _print_row([one for one in results if (one.size, one.way) == (size, way)])
    print("\n| val | way | minus | log loss | accuracy |\n| --- | --- | --- | --- | --- |")
    for size in VAL_SIZES[kind]:
        for new, old in (("val", "before"), ("val", "folds"), ("default", "folds")):
            first, second = (
                [one for one in results if (one.size, one.way) == (size, way)] for way in (new, old)
            )
            pairs = list(zip(first, second, strict=True))
            loss = _mean_and_error([a.log_loss - b.log_loss for a, b in pairs])
            gain = _mean_and_error([a.test - b.test for a, b in pairs])
            print(f"| {size} | {new} | {old} | {loss} | {gain} |")
    print(flush=True)


def _print_row(results: Sequence[Result]) -> None:
    names = ("log_loss", "test", "folds", "val")
    loss, *shares = (np.mean([getattr(one, name) for one in results]) for name in names)
    off = [one.warned for one in results if abs(one.folds - one.test) > 0.05]
    near = [one.warned for one in results if abs(one.folds - one.test) <= 0.05]
    counts = [f"{sum(a for a, _ in flags)} / {sum(b for _, b in flags)}" for flags in (off, near)]
    figures = " | ".join(f"{share:.1%}" for share in shares)
    first = results[0]
    print(
        f"| {first.size} | {first.way} | {loss:.4f} | {figures} | {len(off)} of {len(results)} "
        f"| {counts[0]} | {counts[1]} |"
    )


def _mean_and_error(differences: Sequence[float]) -> str:
    error = np.std(differences, ddof=1) / len(differences) ** 0.5
    return f"{np.mean(differences):+.4f} ± {error:.4f}"


if __name__ == "__main__":
    main()
