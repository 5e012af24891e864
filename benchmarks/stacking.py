"""The average of heads against the choice of the best, on frozen features.

python -m benchmarks.stacking samples [DRAWS]      samples of 100 to 2,000 images
python -m benchmarks.stacking splits [SEEDS]       fixed splits of the solar cells: 0-4, 10-14
python -m benchmarks.stacking photos FOLDER [SIZE] samples (or 80 %) of a folder of your own

Every line compares the two on the same images: differences are those of the average from the best
head, accuracy and AUROC in points, time as a ratio; the error is the standard error of the mean
over draws. Fashion-MNIST is Debian's package `dataset-fashion-mnist`.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.arrays import Features, Rows, Targets
from headstart.backbones.layout import FeatureLayout
from headstart.commands.demo import write_solar_cells
from headstart.data.splits import stratified_sample
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import HeadFit, Problem
from headstart.heads.selection import select_head
from headstart.heads.specs import AutoHead, Head
from headstart.tasks.single import Single

SIZES = (100, 200, 500, 2000)
DRAWS = 20
FASHION_TRAIN = 12_000
TASK = Single()
KINDS = ("last", "multilevel")


@dataclass(frozen=True)
class BestHead:
    """The linear or kernel head with the lowest log loss, as before heads were averaged."""

    kind: ClassVar[str] = "best"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, seed=seed)


@dataclass(frozen=True)
class Material:
    """Features of all images.

    Attributes:
        layout: The meaning of the columns.
        classes: Names of the classes.
        features: Shape (images, width).
        targets: Class numbers, (images,).
        groups: Group of each image.
        train: Number of images, the first ones, from which training samples are drawn.
    """

    layout: FeatureLayout
    classes: tuple[str, ...]
    features: Features
    targets: Targets
    groups: tuple[str, ...]
    train: int

    def draw(self, sample: Callable[[Targets], Rows], seed: int) -> tuple[Rows, Rows]:
        """Draw training rows; the test rows are the test part, or else all other images."""
        pool = np.random.default_rng(seed).permutation(self.train)
        rows = np.sort(pool[sample(self.targets[pool])])
        if self.train < len(self.targets):
            return rows, np.arange(self.train, len(self.targets))
        return rows, np.setdiff1d(np.arange(len(self.targets)), rows)

    def measure(self, head: Head, rows: Rows, test: Rows) -> list[float]:
        """Return accuracy and AUROC in percent, log loss, ECE and seconds of fitting."""
        start = time.perf_counter()
        choice = HeadChoice(head, KINDS, self.layout, len(self.classes), TASK)
        groups = [self.groups[row] for row in rows]
        fit = choice.fit(self.features[rows], self.targets[rows], groups)
        seconds = time.perf_counter() - start
        scores = fit.head.logits(self.features[test][:, self.layout.columns(fit.features)])
        probabilities = TASK.probabilities(scores, fit.temperature)
        result = TASK.evaluate(probabilities, self.targets[test], self.classes)
        loss = TASK.losses(probabilities, self.targets[test]).mean()
        return [100 * result.accuracy, 100 * (result.auroc or np.nan), loss, result.ece, seconds]


def main() -> None:
    """Print one of the tables."""
    mode, rest = sys.argv[1], sys.argv[2:]
    print(f"machine: {describe()}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if mode == "splits":
            first, last = (rest[0] if rest else "0-4").split("-")
            _print_splits(root, range(int(first), int(last) + 1))
        elif mode == "photos":
            _print_photos(Path(rest[0]), root, int(rest[1]) if rest[1:] else None)
        else:
            draws = int(rest[0]) if rest else DRAWS
            for name in ("solar", "fashion"):
                _print_samples(name, root, draws)


def _print_samples(name: str, root: Path, draws: int) -> None:
    material = prepare(name, root)
    print(f"{name}, {draws} draws\n\n| images {_HEADER}", flush=True)
    for size in SIZES:
        _print_draws(material, size, draws)


def _print_draws(material: Material, size: int, draws: int) -> None:
    results = []
    for seed in range(draws):
        rows, test = material.draw(lambda targets, seed=seed: _sample(targets, size, seed), seed)
        results.append([material.measure(head, rows, test) for head in _turns(seed)])
        results[-1] = results[-1][:: 1 if seed % 2 == 0 else -1]
    _print_row(str(size), np.array(results))


def _print_photos(folder: Path, root: Path, size: int | None) -> None:
    material = _extract(folder, root, drawn=True)
    size = size or round(0.8 * material.train)
    print(f"{folder.name}, {len(material.classes)} classes, {DRAWS} draws\n\n| images {_HEADER}")
    _print_draws(material, size, DRAWS)


def _print_splits(root: Path, seeds: Sequence[int]) -> None:
    print(f"solar cells, fixed splits {seeds[0]} to {seeds[-1]}\n\n| split {_HEADER}", flush=True)
    results = []
    for seed in seeds:
        material = prepare("solar", root, seed=seed)
        rows, test = np.arange(material.train), np.arange(material.train, len(material.targets))
        results.append([material.measure(head, rows, test) for head in _turns(seed)])
        results[-1] = results[-1][:: 1 if seed % 2 == 0 else -1]
        _print_row(str(seed), np.array(results[-1:]))
    _print_row("mean", np.array(results))


_HEADER = """| best: accuracy, log loss | average: accuracy | AUROC | log loss | ECE | time |
| --- | --- | --- | --- | --- | --- | --- |"""


def _print_row(name: str, results: np.ndarray[tuple[int, int, int], np.dtype[np.float64]]) -> None:
    best, average = results[:, 0], results[:, 1]
    gains = average - best
    formats = (".2f", ".2f", ".4f", ".4f")
    cells = [with_error(gains[:, column], form) for column, form in enumerate(formats)]
    ratio = average[:, 4].sum() / best[:, 4].sum()
    base = f"{best[:, 0].mean():.2f}, {best[:, 2].mean():.4f}"
    print(f"| {name} | {base} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


def with_error(values: np.ndarray[tuple[int], np.dtype[np.float64]], form: str) -> str:
    """Return the mean with its standard error."""
    if len(values) == 1:
        return f"{values[0]:+{form}}"
    return f"{values.mean():+{form}} ± {values.std(ddof=1) / np.sqrt(len(values)):{form}}"


def _turns(seed: int) -> tuple[Head, Head]:
    """Return both heads, in turns, so that neither always runs first."""
    return (BestHead(), AutoHead()) if seed % 2 == 0 else (AutoHead(), BestHead())


def _sample(targets: Targets, size: int, seed: int) -> Rows:
    sample = stratified_sample(targets, size, seed=seed)
    return np.arange(len(targets)) if sample is None else sample


def prepare(name: str, root: Path, *, seed: int | None = None) -> Material:
    """Compute the features of all images as `train` does with its defaults."""
    table = (
        write_solar_cells(root / "solar", seed=seed or 0)
        if name == "solar"
        else write_fashion(root / "fashion", train=FASHION_TRAIN, test=5000)
    )
    return _extract(table, root, drawn=seed is None and name == "solar")


def _extract(table: Path, root: Path, *, drawn: bool) -> Material:
    data = hs.open_images(table, progress=False)
    model = hs.Classifier(hs.load_backbone(), classes=data.classes, cache=root / "cache")
    model.choose_preprocessing(data.train)
    parts = [data.train, data.test]
    features = np.concatenate([model.features_of(part)[0] for part in parts]).astype(np.float32)
    targets = np.concatenate([part.labels for part in parts])
    groups = tuple(group for part in parts for group in part.groups)
    train = len(targets) if drawn else len(data.train)
    return Material(model.extractor.layout, data.classes, features, targets, groups, train)


if __name__ == "__main__":
    main()
