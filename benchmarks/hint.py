"""What fine-tuning gains on ten sets of images, and whether the hint says so beforehand.

    python -m benchmarks.hint parts FOLDER [PART,...] [SET,...]
    python -m benchmarks.hint auto FOLDER MINUTES [SET,...]

parts: the frozen model, and the same after fine-tuning a part (stages:2 by default), kept in any
    case and without a time limit; and what the hint says.
auto: `--tune auto` in some minutes.

The sets are samples of Fashion-MNIST, pairs of its clothes side by side in 45 classes, and solar
cells; the number is that of training images. FOLDER keeps images and features between runs.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray
from PIL import Image

import headstart as hs
from benchmarks.fashion import CLASSES, read_fashion
from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells
from headstart.tuning.hint import fine_tuning_hint

TOPS, SHOES = (0, 2, 3, 4, 6), (5, 7, 9)
TEST, TEST_PAIRS, ALL, TEN = 2500, 60, 3000, 10
Pictures = tuple[NDArray[np.uint8], NDArray[np.int64]]


def sample(pictures: Pictures, classes: Sequence[int], count: int, seed: int) -> Pictures:
    """Return a random sample of some classes."""
    images, labels = pictures
    rows = np.flatnonzero(np.isin(labels, classes))
    rows = np.random.default_rng(seed).permutation(rows)[:count]
    return images[rows], labels[rows]


def pairs(pictures: Pictures, each: int, seed: int) -> Pictures:
    """Return images of two clothes side by side, in random order; each pair is a class."""
    images, labels = pictures
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(labels == number) for number in range(10)]
    classes = [(one, other) for one in range(10) for other in range(one + 1, 10)]
    made, numbers = [], []
    for number, kinds in enumerate(classes):
        for _ in range(each):
            two = [images[rng.choice(rows[kind])] for kind in kinds]
            made.append(np.concatenate(two[::-1] if rng.random() < 0.5 else two, axis=1))
            numbers.append(number)
    order = rng.permutation(len(made))
    return np.stack(made)[order], np.array(numbers)[order]


def write(folder: Path, parts: dict[str, Pictures], names: Sequence[str]) -> Path:
    """Write images and their table, unless that was done before."""
    table = folder / "images.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True)
    rows = []
    for part, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            name = f"{part}-{number:05d}.png"
            Image.fromarray(image).save(folder / name)
            rows.append({"path": name, "label": names[label], "split": part})
    csv.write_csv(pa.Table.from_pylist(rows), table)
    return table


def solar(folder: Path, count: int) -> Path:
    """Write a table of solar cells with fewer training images."""
    rows = csv.read_csv(write_solar_cells(folder, seed=3)).to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    kept = np.random.default_rng(count).permutation(len(train))[:count]
    table = folder / f"solar-{count}.csv"
    others = [row for row in rows if row["split"] != "train"]
    csv.write_csv(pa.Table.from_pylist([train[number] for number in kept] + others), table)
    return table


def sets(root: Path) -> dict[str, Callable[[], Path]]:
    """Return what writes each set and returns its table."""
    train, test = read_fashion("train"), read_fashion("t10k")
    names = [f"{CLASSES[a]} and {CLASSES[b]}" for a in range(10) for b in range(a + 1, 10)]

    def clothes(name: str, classes: Sequence[int], count: int, draw: int = 0) -> Path:
        all_ten = len(classes) == len(CLASSES)
        tested = (test[0][:ALL], test[1][:ALL]) if all_ten else sample(test, classes, TEST, 0)
        parts = {"train": sample(train, classes, count, count + draw), "test": tested}
        return write(root / (f"{name}-{count}" + f"-{draw}" * bool(draw)), parts, CLASSES)

    def two(each: int) -> Path:
        parts = {"train": pairs(train, each, each), "test": pairs(test, TEST_PAIRS, 1)}
        return write(root / f"pairs-{45 * each}", parts, names)

    return {
        "shoes-150": lambda: clothes("shoes", SHOES, 150),
        "tops-200": lambda: clothes("tops", TOPS, 200),
        "clothes-300": lambda: clothes("clothes", range(10), 300),
        "solar-300": lambda: solar(root / "solar", 300),
        "pairs-450": lambda: two(10),
        "pairs-1350": lambda: two(30),
        "solar-2000": lambda: solar(root / "solar", 2000),
        "tops-2000": lambda: clothes("tops", TOPS, 2000),
        "clothes-3000": lambda: clothes("clothes", range(10), 3000),
        "pairs-3150": lambda: two(70),
        # Not among the ten: draws of the sample that other benchmarks tune.
        "clothes-5000-1": lambda: clothes("clothes", range(10), 5000, 1),
        "clothes-5000-2": lambda: clothes("clothes", range(10), 5000, 2),
        "clothes-5000-3": lambda: clothes("clothes", range(10), 5000, 3),
    }


def opened(root: Path, names: Sequence[str]) -> Iterator[tuple[str, hs.Images]]:
    """Yield each set with its images."""
    every = sets(root)
    for name in names or list(every)[:TEN]:
        yield name, hs.open_images(every[name](), progress=False)


def fitted(data: hs.Images, cache: Path) -> hs.Classifier:
    """Return a frozen model."""
    backbone = hs.load_backbone("efficientnet-lite0")
    return hs.Classifier(backbone, classes=data.classes, cache=cache).fit(
        data.train, progress=False
    )


def compare_parts(root: Path, parts: Sequence[str], names: Sequence[str]) -> None:
    """Print what fine-tuning parts gains."""
    print("| set | part | errors on folds | hint | accuracy | points | log loss | s |")
    print("| --- " * 8 + "|")
    for name, data in opened(root, names):
        for part in parts:
            model = fitted(data, root / "cache")
            folds = 1 - model.candidates[0].accuracy
            hint = "or more" in fine_tuning_hint(len(data.train), 1 - folds)
            frozen = model.evaluate(data.test, progress=False)
            begin = time.perf_counter()
            model.fine_tune(data.train, unfreeze=part, keep="always", progress=False)
            seconds = time.perf_counter() - begin
            tuned = model.evaluate(data.test, progress=False)
            print(
                f"| {name} | {part} | {folds:.1%} | {'gains' if hint else '-'} | "
                f"{frozen.accuracy:.4f} → {tuned.accuracy:.4f} | "
                f"{100 * (tuned.accuracy - frozen.accuracy):+.1f} | "
                f"{frozen.log_loss:.4f} → {tuned.log_loss:.4f} | {seconds:.0f} |",
                flush=True,
            )


def run_auto(root: Path, minutes: float, names: Sequence[str]) -> None:
    """Print what `--tune auto` gains."""
    print("| set | minutes | used | part | rounds | kept | accuracy | points | log loss |")
    print("| --- " * 9 + "|")
    for name, data in opened(root, names):
        model = fitted(data, root / "cache")
        frozen = model.evaluate(data.test, progress=False)
        begin = time.perf_counter()
        tuning = model.fine_tune(data.train, unfreeze="auto", minutes=minutes, progress=False)
        used = (time.perf_counter() - begin) / 60 / minutes
        tuned = model.evaluate(data.test, progress=False)
        what = (tuning.part, tuning.rounds, "yes" if tuning.kept else "no") if tuning else ("",) * 3
        print(
            f"| {name} | {minutes:g} | {used:.2f} | {what[0]} | {what[1]} | {what[2]} | "
            f"{frozen.accuracy:.4f} → {tuned.accuracy:.4f} | "
            f"{100 * (tuned.accuracy - frozen.accuracy):+.1f} | "
            f"{frozen.log_loss:.4f} → {tuned.log_loss:.4f} |",
            flush=True,
        )


def main() -> None:
    """Run what the command line names."""
    kind, folder, *rest = sys.argv[1:]
    print(f"machine: {describe()}\n")
    first, second = (*rest, "", "")[:2]
    names = second.split(",") if second else []
    if kind == "auto":
        run_auto(Path(folder), float(first or 10), names)
    else:
        compare_parts(Path(folder), (first or "stages:2").split(","), names)


if __name__ == "__main__":
    main()
