"""Choosing on a validation part against choosing on folds, with and without series.

python -m benchmarks.validation [solar|fashion] [DRAWS]

In each draw, the validation and the test part are distinct pictures. The training part is either
400 other pictures ("plain"), or 20 near copies (shifted, brighter or darker, JPEG) of each of 40
other pictures ("series"). Fashion-MNIST is Debian's package `dataset-fashion-mnist`.
"""

import csv
import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.arrays import Features, Folds, Rows, Targets
from headstart.backbones.backbone import load_backbone
from headstart.backbones.layout import FeatureLayout
from headstart.commands.demo import write_solar_cells
from headstart.data.splits import stratified_folds
from headstart.evaluation.agreement import find_disagreement
from headstart.evaluation.intervals import wilson
from headstart.evaluation.series import find_series
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import HeadFit, Problem
from headstart.heads.selection import select_head
from headstart.record import Estimate
from headstart.tasks.single import Single

COPIES, SUBJECTS, PLAIN, TEST, POOL = 20, 40, 400, 1000, 120
VAL_SIZES = {"plain": (20, 50, 100, 200), "series": (50, 200)}
SIDE = 128
TASK = Single()


@dataclass(frozen=True)
class Material:
    """Features and class numbers of pictures, and of near copies of the first `POOL` of them.

    Attributes:
        layout: The meaning of the columns.
        classes: Number of classes.
        features: Shape (pictures, width).
        targets: Shape (pictures,).
        copies: Shape (POOL, COPIES, width).
    """

    layout: FeatureLayout
    classes: int
    features: Features
    targets: Targets
    copies: Features


@dataclass(frozen=True)
class Result:
    """One draw, one size of the validation part, one way of choosing.

    Attributes:
        way: "folds": chosen and calibrated on folds; "before": chosen on folds, calibrated on the
            validation part; "val": chosen and calibrated on the validation part.
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
    """Print the tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "solar"
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(f"machine: {describe()}; data: {name}; draws: {draws}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        material = prepare(name, Path(folder))
    _print_series(material)
    for kind in ("plain", "series") if draws else ():
        results = [_measure(material, kind, seed) for seed in range(draws)]
        _print_kind(kind, [result for draw in results for result in draw])


def prepare(name: str, folder: Path) -> Material:
    """Compute the features of pictures and of near copies."""
    table = (
        write_solar_cells(folder / "images")
        if name == "solar"
        else write_fashion(folder / "images", train=2600, test=0)
    )
    with table.open() as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(0).permutation(len(rows))
    paths = [table.parent / rows[number]["path"] for number in order]
    labels = [rows[number]["label"] for number in order]
    classes = TASK.classes(labels)
    backbone = load_backbone("efficientnet-lite0", image_size=SIDE).freeze()
    extractor = FeatureExtractor(backbone, cache=folder / "cache", precision="float32")
    copies = [copy for path in paths[:POOL] for copy in _near_copies(path, folder)]
    features, _ = extractor.of_files([_keyed(path) for path in [*paths, *copies]])
    targets = TASK.targets(labels, classes)
    near = features[len(paths) :].reshape(POOL, COPIES, -1)
    return Material(extractor.layout, len(classes), features[: len(paths)], targets, near)


def _keyed(path: Path) -> tuple[str, str]:
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _near_copies(path: Path, folder: Path) -> Iterator[Path]:
    """Write near copies of a picture: a small shift, another brightness, JPEG."""
    with Image.open(path) as opened:
        picture = opened.convert("L")
    rng = np.random.default_rng(list(path.name.encode()))
    margin = max(1, picture.width // 28)
    for number in range(COPIES):
        left, top = rng.integers(0, 2 * margin + 1, 2)
        box = (left, top, left + picture.width - 2 * margin, top + picture.height - 2 * margin)
        changed = ImageEnhance.Brightness(picture.crop(box)).enhance(rng.uniform(0.9, 1.1))
        content = io.BytesIO()
        changed.save(content, "JPEG", quality=int(rng.integers(60, 95)))
        copy = folder / f"{path.stem}-{number:02d}.jpg"
        copy.write_bytes(content.getvalue())
        yield copy


def _print_series(material: Material) -> None:
    """Print what the search for series finds among near copies, and among other images."""
    last = material.layout.columns("last")
    near = material.copies[:, :, last].reshape(POOL * COPIES, -1)
    targets = np.repeat(material.targets[:POOL], COPIES)
    mixed = material.features[: POOL * COPIES, last]
    print("| images | series | nearest image in the same series | by chance | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for kind, features, labels in (
        ("near copies", near, targets),
        ("other pictures under the same names", mixed, material.targets[: len(mixed)]),
    ):
        names = [
            f"{number // COPIES:04d}-{number % COPIES:02d}.jpg" for number in range(len(labels))
        ]
        begin = time.perf_counter()
        found = find_series(names, features, labels, names)
        seconds = time.perf_counter() - begin
        shares = f"{found.count} | {found.share:.0%} | {found.chance:.1%}" if found else "none | |"
        print(f"| {len(labels)} {kind} | {shares} | {seconds:.2f} |")
    print(flush=True)


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
    on_folds = _fit(material, features, targets, folds)
    results = []
    for size in VAL_SIZES[kind]:
        rows = np.arange(len(targets) + size)
        part = material.features[pool[:size]], material.targets[pool[:size]]
        on_val = _fit(
            material,
            np.concatenate([features, part[0]]),
            np.concatenate([targets, part[1]]),
            [(rows[: len(targets)], rows[len(targets) :])],
        )
        for way, fit in (("folds", on_folds), ("before", on_folds), ("val", on_val)):
            results.append(_result(material, way, fit, on_folds, pool[:size], test, targets))
    return results


def _fit(material: Material, features: Features, targets: Targets, folds: Folds) -> HeadFit:
    columns = {name: material.layout.columns(name) for name in ("last", "multilevel")}
    weights = material.layout.weights()
    problem = Problem(features, columns, targets, material.classes, folds, TASK, False, weights)
    return select_head(problem)


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
        if way == "folds"
        else TASK.temperature(scores["val"], truth[val])
    )
    losses = TASK.losses(TASK.probabilities(scores["test"], temperature), truth[test])
    row = next(
        row
        for row in on_folds.candidates
        if (row.features, row.head) == (fit.features, fit.head.kind)
    )
    interval = wilson(round(row.accuracy * row.images), row.images)
    estimate = Estimate(row.accuracy, interval, row.log_loss, row.images)
    warned = (
        find_disagreement(estimate, "val", accuracy["val"], len(val), grouped=False) is not None,
        find_disagreement(estimate, "test", accuracy["test"], len(test), grouped=False) is not None,
    )
    loss = float(losses.mean())
    return Result(way, len(val), loss, row.accuracy, accuracy["val"], accuracy["test"], warned)


def _print_kind(kind: str, results: Sequence[Result]) -> None:
    print(
        f"**{kind}**\n\n| val | way | log loss | accuracy | folds say | val says "
        "| off by > 5 points | of these warned, val / test | other warnings, val / test |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in VAL_SIZES[kind]:
        for way in ("folds", "before", "val"):
            _print_row([one for one in results if (one.size, one.way) == (size, way)])
    print("\n| val | minus | log loss | accuracy |\n| --- | --- | --- | --- |")
    for size in VAL_SIZES[kind]:
        new = [one for one in results if (one.size, one.way) == (size, "val")]
        for way in ("before", "folds"):
            old = [one for one in results if (one.size, one.way) == (size, way)]
            pairs = list(zip(new, old, strict=True))
            loss = _mean_and_error([a.log_loss - b.log_loss for a, b in pairs])
            gain = _mean_and_error([a.test - b.test for a, b in pairs])
            print(f"| {size} | {way} | {loss} | {gain} |")
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
