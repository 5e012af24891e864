"""What models know about their limits: prediction sets, unknown images, and shift.

    python -m benchmarks.limits [sets [SPLITS]] [strangers FOLDER...] [classes] [shift [DRAWS]]

sets: coverage of prediction sets at 90% and calibration error, on random splits of solar cells and
    of Fashion-MNIST (2,000 training images).
strangers: photographs in the folders, clothes and noise given to the model of solar cells; and
    images of a class of Fashion-MNIST that was left out of the training, also by other scores.
shift: alarms without a shift, and power with blurred, brighter and other cells.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.arrays import Features, Numbers, Rows
from headstart.commands.demo import write_solar_cells
from headstart.data.formats import is_image_file
from headstart.evaluation.limits import measure_limits
from headstart.evaluation.shift import estimate_accuracy
from headstart.evaluation.training_images import known_images
from headstart.evaluation.two_sample import two_sample_test
from headstart.features.rounding import as_stored

SOLAR_SIZE = 300
NEW = 200
ALARM = 0.05
CLOTHES = 2000
WRONG = 0.05


class Material:
    """Images of a data set with their features, for random splits of all of them."""

    def __init__(self, table: Path, cache: Path, size: int | None) -> None:
        self.data = hs.open_images(table, cache=cache, progress=False)
        self.cache, self.size = cache, size
        self.images = self.data.all
        self.features, self.stored_as = self.model().features_of(self.images)

    def model(self, seed: int = 0) -> hs.Classifier:
        """Return an unfitted classifier."""
        backbone = hs.load_backbone(image_size=self.size)
        classes = self.data.classes
        return hs.Classifier(backbone, classes=classes, cache=self.cache, seed=seed)

    def fitted(self, rows: Rows, seed: int) -> hs.Classifier:
        """Fit on some of the images."""
        train = self.images.take(rows)
        return self.model(seed).fit_features(train, self.features[rows], self.stored_as)

    def split(self, train: int, seed: int) -> tuple[Rows, Rows]:
        """Return training rows and the others."""
        rows = np.random.default_rng(seed).permutation(len(self.images))
        return rows[:train], rows[train:]


def solar(root: Path) -> Material:
    """Return the solar cells."""
    return Material(write_solar_cells(root / "solar"), root / "cache", SOLAR_SIZE)


def clothes(root: Path) -> Material:
    """Return Fashion-MNIST."""
    return Material(write_fashion(root / "fashion"), root / "cache", None)


def sets(root: Path, splits: int = 20) -> None:
    """Print coverage and size of prediction sets."""
    print(
        "| data | splits | sets | coverage at 90% | labels per set | false unknown | ECE "
        "| answered with max_error 0.05 | wrong |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, material, train in (
        ("solar cells", solar(root), 1970),
        (f"Fashion-MNIST, {CLOTHES:,}", clothes(root), CLOTHES),
    ):
        found = [_limits_of(material, train, seed) for seed in range(splits)]
        unknown = np.mean([limits.unknown for limits, _ in found])
        error = np.mean([ece for _, ece in found])
        for number in (0, 2):
            results = [limits.sets[number] for limits, _ in found]
            covered = [result.measured for result in results]
            print(
                f"| {name} | {splits} | {results[0].method} | {np.mean(covered):.1%} "
                f"({min(covered):.1%} … {max(covered):.1%}) "
                f"| {np.mean([result.mean_size for result in results]):.2f} "
                f"| {unknown:.1%} | {error:.3f} | {_abstained(found)} |",
                flush=True,
            )


def _abstained(found: Sequence[tuple[Any, float]]) -> str:
    """Return the mean share that is answered, and the mean and the highest share that is wrong."""
    results = [one for limits, _ in found for one in limits.abstention if one.max_error == WRONG]
    answered, wrong = [one.answered for one in results], [one.error for one in results]
    return f"{np.mean(answered):.1%} | {np.mean(wrong):.1%} (… {max(wrong):.1%})"


def _limits_of(material: Material, train: int, seed: int) -> tuple[Any, float]:
    rows, others = material.split(train, seed)
    model, test = material.fitted(rows, seed), material.images.take(others)
    predictor = model.predictor
    features = as_stored(material.features[others], predictor.stored_as)
    probabilities = predictor.probabilities(features)
    assert predictor.limits.known
    unknown = predictor.limits.known.unknown(features)
    ece = model.predictor.task.evaluate(probabilities, test.labels, test.classes).ece
    return measure_limits(predictor.limits.calibration, unknown, probabilities, test.labels), ece


def strangers(root: Path, folders: Sequence[Path]) -> None:
    """Print how well strangers are told from test images of the solar model."""
    material = solar(root)
    rows, others = material.split(1970, 0)
    known = material.fitted(rows, 0).predictor.limits.known
    assert known
    own = known.strangeness(as_stored(material.features[others], material.stored_as))
    print("| strangers | images | AUROC | called unknown | called unknown of own test images |")
    print("| --- | --- | --- | --- | --- |")
    for name, images in _strangers(root, folders):
        features = np.concatenate(list(material.model().extractor.of_images(images)))
        found = known.strangeness(as_stored(features, material.stored_as))
        print(
            f"| {name} | {len(found)} | {_auroc(own, found):.3f} | {(found > 1).mean():.1%} "
            f"| {(own > 1).mean():.1%} |",
            flush=True,
        )


def _auroc(own: Numbers, strange: Numbers) -> float:
    truth = np.repeat([0, 1], [len(own), len(strange)])
    return float(roc_auc_score(truth, np.concatenate([own, strange])))


def _strangers(root: Path, folders: Sequence[Path]) -> Iterator[tuple[str, Iterator[Image.Image]]]:
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if is_image_file(path))
        order = np.random.default_rng(0).permutation(len(files))[:300]
        yield (
            f"photographs: {folder.name}",
            (Image.open(files[number]).convert("RGB") for number in order),
        )
    paths = hs.open_images(write_fashion(root / "fashion"), progress=False).test.paths[:300]
    yield "Fashion-MNIST", (Image.open(path).convert("RGB") for path in paths)
    yield "noise", map(_noise, range(300))


def _noise(seed: int) -> Image.Image:
    """Return colour noise, grey noise or smooth colours."""
    draw = np.random.default_rng(seed)
    kind = seed % 3
    shape = ((300, 300, 3), (300, 300, 1), (12, 12, 3))[kind]
    pixels = draw.integers(0, 256, shape, dtype=np.uint8)
    pixels = pixels.repeat(3, axis=2) if kind == 1 else pixels
    return Image.fromarray(pixels).resize((300, 300), Image.Resampling.BICUBIC)


def classes(root: Path) -> None:
    """Print how well a class that was left out is found, by several scores."""
    material = clothes(root)
    print("| class left out | unknown | 3 nearest, all features | maximum softmax |")
    print("| --- | --- | --- | --- |")
    found = []
    labels = material.images.labels
    for left_out, name in enumerate(material.data.classes):
        rows, others = material.split(CLOTHES, left_out)
        rows, others = rows[labels[rows] != left_out], others[:4000]
        found.append(_found(material, rows, others, left_out))
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in found[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{value:.3f}" for value in np.mean(found, axis=0)) + " |")


def _found(material: Material, rows: Rows, others: Rows, left_out: int) -> list[float]:
    strange = material.images.labels[others] == left_out
    model = material.fitted(rows, 0).predictor
    features = as_stored(material.features[others], model.stored_as)
    train = material.features[rows]
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    nearest = NearestNeighbors(n_neighbors=3).fit((train - mean) / scale)
    distances, _ = nearest.kneighbors((features - mean) / scale)
    assert model.limits.known
    scores = (
        model.limits.known.strangeness(features),
        distances.mean(axis=1),
        -model.probabilities(features).max(axis=1),
    )
    return [float(roc_auc_score(strange, score)) for score in scores]


def shift(root: Path, draws: int = 1000) -> None:
    """Print alarms without a shift, and power, estimated and true accuracy with one."""
    material = solar(root)
    alarms, values = _alarms(material, draws)
    print(
        "| images of 200 new ones | draws | alarms | AUROC | unknown | estimated accuracy | true |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(f"| same kind | {draws} | {alarms:.1%} | {np.mean(values):.2f} | | | |", flush=True)
    for name, change in CHANGES.items():
        print(_shifted(material, name, change, draws // 10), flush=True)
    print(_other_cells(root, material, draws // 10), flush=True)


def _alarms(material: Material, draws: int) -> tuple[float, list[float]]:
    """Return the share of alarms; every tenth draw splits anew."""
    alarms, values = 0, []
    for number in range(draws):
        if number % 10 == 0:
            rows, others = material.split(1970, number)
            train, extractor = material.images.take(rows), material.model().extractor
            known = known_images(train, material.features[rows], extractor, seed=number)
            assert known
        draw = np.random.default_rng(number).permutation(others)[:NEW]
        test = two_sample_test(
            known.points[known.fitted :], known.points_of(_rounded(material, draw)), seed=number
        )
        alarms += test.p < ALARM
        values.append(test.auroc)
    return alarms / draws, values


def _rounded(material: Material, rows: Rows) -> Features:
    return as_stored(material.features[rows], material.stored_as)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred, 2 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "30% brighter": lambda image: image.point(lambda level: min(255, round(1.3 * level))),
}


def _shifted(
    material: Material, name: str, change: Callable[[Image.Image], Image.Image], draws: int
) -> str:
    rows, others = material.split(1970, 0)
    model = material.fitted(rows, 0)
    paths = [material.images.paths[row] for row in others]
    changed = (change(Image.open(path).convert("RGB")) for path in paths)
    features = np.concatenate(list(model.extractor.of_images(changed)))
    features = as_stored(features, material.stored_as)
    return _row(model, name, features, material.images.labels[others], draws)


def _row(model: hs.Classifier, name: str, features: Features, truth: Any, draws: int) -> str:
    predictor = model.predictor
    known, calibration = predictor.limits.known, predictor.limits.calibration
    assert known
    assert calibration
    probabilities = predictor.probabilities(features)
    tests = []
    for seed in range(draws):
        some = np.random.default_rng(seed).permutation(len(features))[:NEW]
        points = known.points_of(features[some])
        tests.append(two_sample_test(known.points[known.fitted :], points, seed=seed))
    estimate, (low, high) = estimate_accuracy(calibration, probabilities)
    accuracy = (probabilities.argmax(axis=1) == truth).mean()
    return (
        f"| {name} | {draws} | {np.mean([test.p < ALARM for test in tests]):.1%} "
        f"| {np.mean([test.auroc for test in tests]):.2f} | {known.unknown(features).mean():.1%} "
        f"| {estimate:.1%} ({low:.1%} … {high:.1%}) | {accuracy:.1%} |"
    )


def _other_cells(root: Path, material: Material, draws: int) -> str:
    """Train on monocrystalline cells; the others are polycrystalline."""
    lines = {
        Path(line.split()[0]).name: line.split()[2]
        for line in _listing(material).read_text().splitlines()
    }
    kind = np.array([lines[Path(path).name] for path in material.images.paths])
    rows, others = np.flatnonzero(kind == "mono"), np.flatnonzero(kind == "poly")
    model = material.fitted(rows, 0)
    labels = material.images.labels[others]
    return _row(
        model, "polycrystalline, trained on mono", _rounded(material, others), labels, draws
    )


def _listing(material: Material) -> Path:
    return Path(material.images.paths[0]).parent.parent / "labels.csv"


def main() -> None:
    """Run what the arguments name."""
    print(f"machine: {describe()}\n")
    given = sys.argv[1:] or ["sets", "classes", "shift"]
    kinds = ("sets", "strangers", "classes", "shift")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, name in enumerate(given):
            rest = given[number + 1 : number + 2]
            count = [int(text) for text in rest if text.isdigit()]
            if name == "sets":
                sets(root, *count)
            elif name == "strangers":
                named = [Path(text) for text in given[number + 1 :] if text not in kinds]
                strangers(root, [path for path in named if path.is_dir()])
            elif name == "classes":
                classes(root)
            elif name == "shift":
                shift(root, *count)
            print()


if __name__ == "__main__":
    main()
