"""The pictures of a report: mistakes with explanations, small test images, and their map."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from headstart.answers import Mistake
from headstart.arrays import Features, Probabilities, Rows
from headstart.data.images import ImageSet
from headstart.errors import UnreadableImage
from headstart.evaluation.feature_map import feature_map, mapped_rows
from headstart.explanations.explaining import heat_pictures
from headstart.predictor.predictor import Predictor
from headstart.report import Neighbour, PicturedMistake, TestImages
from headstart.report.illustrating import illustrate
from headstart.report.thumbnails import SIDE, as_jpeg, thumbnail

_MAX_MISTAKES = 24
_NEIGHBOURS = 3
_SMALL = 96


@dataclass(frozen=True)
class Illustration:
    """The pictures of the images that a report is about.

    Attributes:
        mistakes: Wrong predictions, the most confident ones.
        test_images: Small pictures and a map of the features; None with several labels per image.
    """

    mistakes: tuple[PicturedMistake, ...] = ()
    test_images: TestImages | None = None


def illustrated(
    model: Predictor,
    images: ImageSet,
    probabilities: Probabilities,
    known: Mapping[str, tuple[str, str]],
    *,
    seed: int,
) -> Illustration:
    """Return the pictures of evaluated images.

    Args:
        model: The model.
        images: The images, with the classes in the model's order.
        probabilities: Their calibrated probabilities, (images, classes).
        known: Name and path of each training image by the hash of its file; empty if the files are
            not at hand.
        seed: Random seed of the map.
    """
    mistakes = model.task.worst_mistakes(
        *(probabilities, images.labels, model.classes),
        limit=_MAX_MISTAKES,
        thresholds=model.thresholds,
    )
    rows = mapped_rows(len(images), seed)
    features = _features_of(model, images, rows)
    located = feature_map(features[:, model.extractor.layout.columns(model.features)], seed)
    if located:
        located = replace(located, rows=rows[located.rows])
    contract = model.extractor.preprocess.contract
    return Illustration(
        tuple(_pictured(model, images, mistakes, known)),
        illustrate(images, probabilities, located, model.thresholds, contract),
    )


def _features_of(model: Predictor, images: ImageSet, rows: Rows) -> Features:
    files = images.files
    return model.extractor.of_files([files[row] for row in rows])[0]


def training_files(train: ImageSet) -> dict[str, tuple[str, str]]:
    """Return name and path of each training image by the hash of its file."""
    return dict(zip(train.sha256s, zip(train.names, train.paths, strict=True), strict=True))


def _pictured(
    model: Predictor,
    images: ImageSet,
    mistakes: Sequence[Mistake],
    known: Mapping[str, tuple[str, str]],
) -> Iterator[PicturedMistake]:
    """Yield mistakes with their pictures, heat maps and nearest training images."""
    contract, names, paths = model.extractor.preprocess.contract, images.names, images.paths
    shown = [paths[mistake.row] for mistake in mistakes]
    labels = [mistake.about or mistake.predicted for mistake in mistakes]
    heats = heat_pictures(model, shown, labels, side=SIDE)
    features = _features_of(model, images, np.array([mistake.row for mistake in mistakes], int))
    for mistake, path, heat, row in zip(mistakes, shown, heats, features, strict=True):
        yield PicturedMistake(
            mistake,
            names[mistake.row],
            thumbnail(path, contract),
            as_jpeg(heat),
            tuple(_neighbours(model, row, known)),
        )


def _neighbours(
    model: Predictor, features: Features, known: Mapping[str, tuple[str, str]]
) -> Iterator[Neighbour]:
    """Yield the nearest training images whose files are at hand."""
    points = model.limits.known
    if not known or points is None:
        return
    contract = model.extractor.preprocess.contract
    for one in points.neighbours(features[np.newaxis], _NEIGHBOURS)[0]:
        name, path = known.get(one.sha256, ("", ""))
        with suppress(UnreadableImage):  # It may have been moved since the training.
            yield Neighbour(name, one.label, thumbnail(path, contract, _SMALL), one.distance)
