"""Pages with everything that a report can show of single images."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa

from headstart.answers import Thresholds
from headstart.arrays import Probabilities, Targets
from headstart.data.contract import CURRENT
from headstart.data.images import ImageSet
from headstart.evaluation.feature_map import FeatureMap
from headstart.report import Neighbour, PicturedMistake, TestImages, render_report
from headstart.report.illustrating import illustrate
from headstart.report.thumbnails import thumbnail
from headstart.tasks.single import Single
from tests.conftest import COLOURS, picture
from tests.report.test_page import metrics, record
from tests.report.test_tuning import tuning

POINT = Thresholds("sensitivity=0.9", (0.4, 0.6), ("", ""), positive=0)


def image_set(folder: Path, count: int, classes: tuple[str, ...]) -> ImageSet:
    """Write images, and return them with the classes in turn."""
    paths = [folder / f"cell {number:03d}.png" for number in range(count)]
    colours = list(COLOURS.values())
    for number, path in enumerate(paths):
        picture(number, colours[number % len(classes) % len(colours)]).save(path)
    labels = [classes[number % len(classes)] for number in range(count)]
    columns = {"image": [path.name for path in paths], "path": list(map(str, paths))}
    return ImageSet(pa.table(columns | {"label": labels}), classes, Single())


def predictions(images: ImageSet, *, seed: int = 0) -> Probabilities:
    """Return probabilities of which most are right."""
    noise = np.random.default_rng(seed).normal(0, 1, (len(images), len(images.classes)))
    noise[np.arange(len(images)), images.labels] += 1.5
    powers = np.exp(noise)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def located(targets: Targets, *, seed: int = 0) -> FeatureMap:
    """Return a map on which classes are next to each other."""
    noise = np.random.default_rng(seed).normal(0, 1, (len(targets), 2))
    return FeatureMap(np.arange(len(targets)), noise + 4 * np.eye(2)[targets % 2])


def illustrated(images: ImageSet, thresholds: Thresholds | None = POINT) -> TestImages:
    """Return what a report shows of images."""
    shown = illustrate(images, predictions(images), located(images.labels), thresholds, CURRENT)
    assert shown is not None
    return shown


def explained(mistakes: list[PicturedMistake]) -> list[PicturedMistake]:
    """Add a heat map and three training images to each mistake."""
    heat = BytesIO()
    picture(1, (200, 40, 40)).save(heat, "PNG")
    return [
        replace(
            mistake,
            heat=heat.getvalue(),
            neighbours=tuple(
                Neighbour(f"train/{n}.png", mistake.mistake.label, mistake.thumbnail, 0.1 * n)
                for n in (1, 2, 3)
            ),
        )
        for mistake in mistakes
    ]


def whole_page(folder: Path, classes: tuple[str, ...] = ("defective", "functional")) -> str:
    """Return a report with all sections."""
    thresholds = POINT if len(classes) == 2 else None
    images = image_set(folder, 60, classes)
    probabilities, targets = predictions(images), images.labels
    evaluation = Single().evaluate(probabilities, targets, classes, thresholds=thresholds)
    values = record(metrics(tuning=tuning(), leaks=[{"images": ["train/x.png", "test/y.png"]}]))
    shown = replace(values, test=evaluation, data=replace(values.data, classes=classes))
    mistakes = Single().worst_mistakes(
        probabilities, targets, classes, limit=6, thresholds=thresholds
    )
    return render_report(
        shown,
        Single().report_part(evaluation, [20] * len(classes)),
        explained(
            [
                PicturedMistake(
                    one, images.names[one.row], thumbnail(images.paths[one.row], CURRENT)
                )
                for one in mistakes
            ]
        ),
        test_images=illustrated(images, thresholds),
    )
