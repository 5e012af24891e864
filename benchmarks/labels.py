"""Several labels per image: what a model reaches, and what fitting it costs.

python -m benchmarks.labels solar [SEEDS]         solar cells, three labels; a fifth unknown, too
python -m benchmarks.labels collages [SEEDS]      2 x 2 collages of clothes, ten labels, against
                                                  scikit-learn's LogisticRegressionCV
python -m benchmarks.labels time                  5,000 images, 14 labels, a third unknown

The solar cells are defective (rated above one half), polycrystalline and doubtful (rated neither 0
nor 1). Fashion-MNIST is Debian's package `dataset-fashion-mnist`. Collages of the test part are
made of other pictures than those of the training part.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import elpv_dataset
import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import average_precision_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

import headstart as hs
from benchmarks.fashion import CLASSES, read_fashion
from benchmarks.machine import describe
from headstart.arrays import Features, Targets
from headstart.data.images import Images
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import AutoHead
from headstart.tasks.multi import Multi

SOLAR = ("defective", "polycrystalline", "doubtful")
TRAIN, TEST, STRENGTHS = 2000, 2000, 10


def write_solar(folder: Path, *, seed: int, unknown: float) -> Path:
    """Write the solar cells with three labels each, some of them blank in the training part."""
    source = Path(elpv_dataset.__file__).parent / "data"
    lines = [line.split() for line in (source / "labels.csv").read_text().splitlines()]
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"labels-{seed}-{unknown}.csv"
    test = rng.permutation(len(lines)) < len(lines) // 4
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", *SOLAR])
        for number, (path, rating, kind) in enumerate(lines):
            truth = [float(rating) > 0.5, kind == "poly", 0 < float(rating) < 1]
            blank = (rng.random(3) < unknown) & (not test[number])
            cells = ["" if b else int(t) for t, b in zip(truth, blank, strict=True)]
            writer.writerow([source / path, "test" if test[number] else "train", *cells])
    return table


def write_collages(folder: Path, *, seed: int) -> Path:
    """Write 2 x 2 collages of up to four pictures, with the names of what they show."""
    folder.mkdir(parents=True)
    table, rng = folder / "labels.csv", np.random.default_rng(seed)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "labels", "split"])
        for split, prefix, count in (("train", "train", TRAIN), ("test", "t10k", TEST)):
            pictures, numbers = read_fashion(prefix)
            for index in range(count):
                chosen = rng.integers(0, len(pictures), rng.integers(0, 5))
                tiles = np.zeros((4, 28, 28), np.uint8)
                tiles[: len(chosen)] = pictures[chosen]
                canvas = tiles.reshape(2, 2, 28, 28).transpose(0, 2, 1, 3).reshape(56, 56)
                path = folder / f"{split}-{index}.png"
                Image.fromarray(canvas).save(path)
                names = sorted({CLASSES[number] for number in numbers[chosen]})
                writer.writerow([path.name, "|".join(names), split])
    return table


def solar(seeds: Sequence[int]) -> None:
    """Print macro AUROC with all labels and with a fifth of them unknown."""
    print("| seed | all known | a fifth unknown | difference |\n| --- | --- | --- | --- |")
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in seeds:
            pair = []
            for unknown in (0.0, 0.2):
                table = write_solar(folder / "cells", seed=seed, unknown=unknown)
                data = hs.open_images(table, labels=",".join(SOLAR))
                model = hs.Classifier(_backbone(), classes=data.classes, cache=folder / "cache")
                model.fit(data.train, progress=False)
                pair.append(model.evaluate(data.test, progress=False).auroc.macro.value)
            found.append(pair)
            print(
                f"| {seed} | {pair[0]:.4f} | {pair[1]:.4f} | {pair[1] - pair[0]:+.4f} |", flush=True
            )
    means = np.mean(found, axis=0)
    print(f"| mean | {means[0]:.4f} | {means[1]:.4f} | {means[1] - means[0]:+.4f} |")


def collages(seeds: Sequence[int]) -> None:
    """Print macro average precision and time of the default head and of scikit-learn's."""
    print("| seed | default head | seconds | scikit-learn | seconds |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for seed in seeds:
        row = _compare(seed)
        rows.append(row)
        print(f"| {seed} | {row[0]:.4f} | {row[1]:.1f} | {row[2]:.4f} | {row[3]:.1f} |", flush=True)
    table = np.array(rows)
    gain = table[:, 0] - table[:, 2]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
    print(
        f"\ndifference of macro average precision {gain.mean():+.4f} ± {error:.4f}; "
        f"time {table[:, 1].sum() / table[:, 3].sum():.2f} of scikit-learn's"
    )


def _compare(seed: int) -> tuple[float, float, float, float]:
    """Return macro average precision and seconds, of the default head and of scikit-learn's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = hs.open_images(write_collages(folder / "collages", seed=seed))
        model = hs.Classifier(_backbone(), classes=data.classes, cache=folder / "cache")
        model.choose_preprocessing(data.train)
        features, _ = model.features_of(data.train)
        tested, _ = model.features_of(data.test)
        return (
            *_measure(lambda: _default(model, data, features, tested), data),
            *_measure(lambda: _scikit(data, features, tested), data),
        )


def _measure(fit: Callable[[], Features], data: Images) -> tuple[float, float]:
    """Return macro average precision on the test part, and the seconds of fitting."""
    begin = time.perf_counter()
    scores = fit()
    seconds = time.perf_counter() - begin
    return float(average_precision_score(data.test.labels, scores, average="macro")), seconds


def _default(model: hs.Classifier, data: Images, features: Features, tested: Features) -> Features:
    choice = _choice(model, len(data.classes))
    fit = choice.fit(features, data.train.labels, data.train.groups)
    return fit.head.logits(tested[:, choice.layout.columns(fit.features)])


def _choice(model: hs.Classifier, classes: int) -> HeadChoice:
    layout = model.extractor.layout
    return HeadChoice(AutoHead(), ("last", "multilevel"), layout, classes, Multi())


def _scikit(data: Images, features: Features, tested: Features) -> Features:
    """Fit one LogisticRegressionCV per label on the same features and folds."""
    folds = list(data.train.folds(3, seed=0))
    regression = LogisticRegressionCV(
        Cs=STRENGTHS, cv=folds, scoring="neg_log_loss", max_iter=1000, n_jobs=1
    )
    scaler = StandardScaler().fit(features)
    model = OneVsRestClassifier(regression, n_jobs=2)
    model.fit(scaler.transform(features), data.train.labels)
    return np.asarray(model.decision_function(scaler.transform(tested)))


def seconds() -> None:
    """Print how long the default head takes on 5,000 images with 14 labels."""
    rng = np.random.default_rng(0)
    model = hs.Classifier(_backbone(), classes=[str(n) for n in range(14)])
    layout = model.extractor.layout
    features = rng.normal(size=(5000, layout.width)).astype(np.float32)
    weights = rng.normal(size=(layout.width, 14)) / np.sqrt(layout.width)
    rare = np.linspace(0.5, 2.0, 14)
    targets: Targets = (features @ weights + rng.normal(size=(5000, 14)) > rare).astype(np.int64)
    targets[rng.random(targets.shape) < 1 / 3] = -1
    begin = time.perf_counter()
    _choice(model, 14).fit(features, targets, [str(n) for n in range(5000)])
    print(f"5,000 images, 14 labels, a third unknown: {time.perf_counter() - begin:.1f} s")


def _backbone() -> hs.Backbone:
    return hs.load_backbone("efficientnet-lite0")


def main() -> None:
    """Run the benchmark that is named."""
    name, *rest = sys.argv[1:]
    print(f"machine: {describe()}\n")
    seeds = range(int(rest[0])) if rest else range(5)
    {"solar": lambda: solar(seeds), "collages": lambda: collages(seeds), "time": seconds}[name]()


if __name__ == "__main__":
    main()
