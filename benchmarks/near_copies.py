"""Pictures, and series of near copies of some of them: shifted, cropped, brighter or darker, noisy.

Solar cells, or Fashion-MNIST from Debian's package `dataset-fashion-mnist`.
"""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.fashion import write_fashion
from headstart.arrays import Features, Folds, Targets
from headstart.backbones.backbone import load_backbone
from headstart.backbones.layout import FeatureLayout
from headstart.commands.demo import write_solar_cells
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import HeadFit, Problem
from headstart.heads.specs import AutoHead
from headstart.tasks.single import Single

COPIES, POOL, SIDE = 20, 500, 128
TASK = Single()


@dataclass(frozen=True)
class Material:
    """Features and class numbers of pictures, and of near copies of the first `POOL` of them.

    Attributes:
        layout: The meaning of the columns.
        classes: Their names.
        features: Shape (pictures, width).
        targets: Shape (pictures,).
        copies: Shape (POOL, COPIES, width).
    """

    layout: FeatureLayout
    classes: tuple[str, ...]
    features: Features
    targets: Targets
    copies: Features

    def fit(self, features: Features, targets: Targets, folds: Folds) -> HeadFit:
        """Fit the default head, with the choice on the given folds."""
        columns = {name: self.layout.columns(name) for name in ("last", "multilevel")}
        weights = self.layout.weights()
        problem = Problem(
            features, columns, targets, len(self.classes), folds, TASK, False, weights
        )
        return AutoHead().fit(problem)

    def choice(self) -> HeadChoice:
        """Return the default head, with its own choice of folds and validation part."""
        kinds = ("last", "multilevel")
        return HeadChoice(AutoHead(), kinds, self.layout, len(self.classes), TASK)


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
    return Material(extractor.layout, tuple(classes), features[: len(paths)], targets, near)


def _keyed(path: Path) -> tuple[str, str]:
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _near_copies(path: Path, folder: Path) -> Iterator[Path]:
    """Write near copies of a picture: a small shift and crop, another brightness, noise, JPEG."""
    with Image.open(path) as opened:
        picture = opened.convert("L")
    rng = np.random.default_rng(list(path.name.encode()))
    margin = max(1, picture.width // 28)
    for number in range(COPIES):
        left, top = rng.integers(0, margin + 1, 2)
        side = picture.width - margin - int(rng.integers(0, margin + 1))
        part = picture.crop((left, top, left + side, top + side))
        changed = np.asarray(ImageEnhance.Brightness(part).enhance(rng.uniform(0.9, 1.1)))
        noisy = changed + rng.normal(0.0, rng.uniform(0.0, 4.0), changed.shape)
        content = io.BytesIO()
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        image.save(content, "JPEG", quality=int(rng.integers(60, 95)))
        copy = folder / f"{path.stem}-{number:02d}.jpg"
        copy.write_bytes(content.getvalue())
        yield copy
