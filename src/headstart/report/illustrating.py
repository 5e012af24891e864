"""What the report shows of single test images, from the images and their predictions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Probabilities, Rows, Targets
from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.errors import UnreadableImage
from headstart.evaluation.feature_map import FeatureMap
from headstart.report.test_images import MapPoint, Shot, TestImages
from headstart.report.threshold_curve import threshold_curve
from headstart.report.thumbnails import thumbnail

MAX_PICTURES = 500
"""The most small pictures of a page, which take about 2 kB each."""

MAX_PER_CELL = 24
"""The most pictures of a cell of the confusion matrix, besides those of images on the map."""

_MISTAKES = 0.6
"""The share of the pictures that is reserved for the most confident mistakes of each kind."""

_SIDE = 96
_QUALITY = 70


def illustrate(
    images: ImageSet,
    probabilities: Probabilities,
    located: FeatureMap | None,
    thresholds: Thresholds | None,
    contract: PixelContract,
    *,
    limit: int = MAX_PICTURES,
) -> TestImages | None:
    """Return what a report shows of single images; None if they may have several labels.

    Args:
        images: The images, with the classes in the order of the probabilities.
        probabilities: Calibrated probabilities, (images, classes).
        located: The map of their features; None for a report without one.
        thresholds: The operating point of the model.
        contract: The model's.
        limit: The most pictures. Each takes about 2 kB of the page and a few milliseconds.
    """
    if images.labels.ndim != 1:
        return None
    predicted = _predicted(images, probabilities, thresholds)
    mapped = located.rows if located else np.empty(0, dtype=np.int64)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    rows = choose_pictures(images.labels, predicted, confidence, mapped, limit)
    shots = _shots(rows, images, predicted, confidence, contract)
    return TestImages(
        tuple(shots.values()),
        _points(located, images.labels, predicted, list(shots)) if located else (),
        threshold_curve(probabilities, images.labels, images.classes, thresholds),
    )


def choose_pictures(
    truth: Targets, predicted: Targets, confidence: Probabilities, mapped: Rows, limit: int
) -> list[int]:
    """Return the rows of at most `limit` images to show.

    First come wrong predictions, the most confident one of each kind, then the second one of each,
    and so on; then images on the map, wrong ones before those that are right.

    Args:
        truth: The class of each image.
        predicted: The predicted class of each image.
        confidence: The probability of the predicted class.
        mapped: The rows of the images on the map of features.
        limit: The most rows.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = truth != predicted
    is_mapped = np.isin(order, mapped)
    # Stable: within each of the kinds, the most confident ones come first.
    preferences = (
        (order[wrong[order]], round(_MISTAKES * limit), MAX_PER_CELL),
        (order[wrong[order] & is_mapped], round((1 + _MISTAKES) / 2 * limit), limit),
        (np.sort(order[~wrong[order] & is_mapped]), limit, limit),
        (np.sort(order[~wrong[order]]), limit, MAX_PER_CELL),
        (order[wrong[order]], limit, MAX_PER_CELL),
    )
    chosen: list[int] = []
    for rows, until, most in preferences:
        chosen += _spread(rows, truth, predicted, chosen, until, most)
    return chosen


def _spread(
    rows: Rows, truth: Targets, predicted: Targets, chosen: Sequence[int], until: int, most: int
) -> list[int]:
    """Return further rows for `until` in all and `most` per cell, in turn from each cell."""
    in_cell = Counter((int(truth[row]), int(predicted[row])) for row in chosen)
    known, ranked = set(chosen), []
    for place, row in enumerate(rows.tolist()):
        cell = int(truth[row]), int(predicted[row])
        if row not in known and in_cell[cell] < most:
            ranked.append((in_cell[cell], place, row))
            in_cell[cell] += 1
    return [row for _, _, row in sorted(ranked)][: max(until - len(chosen), 0)]


def _shots(
    rows: Sequence[int],
    images: ImageSet,
    predicted: Targets,
    confidence: Probabilities,
    contract: PixelContract,
) -> dict[int, Shot]:
    """Return the pictures by row, without images that cannot be read any more."""
    names, paths = images.names, images.paths

    def shoot(row: int) -> Shot | None:
        try:
            picture = thumbnail(paths[row], contract, _SIDE, quality=_QUALITY)
        except UnreadableImage:
            return None
        classes = int(images.labels[row]), int(predicted[row])
        return Shot(names[row], picture, *classes, float(confidence[row]))

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Decoding runs without Python's lock.
        taken = zip(rows, threads.map(shoot, rows), strict=True)
        return {row: shot for row, shot in taken if shot}


def _points(
    located: FeatureMap, truth: Targets, predicted: Targets, rows: Sequence[int]
) -> tuple[MapPoint, ...]:
    """Return the images on the map, with the numbers of their pictures."""
    shots: Mapping[int, int] = {row: number for number, row in enumerate(rows)}
    return tuple(
        MapPoint(x, y, int(truth[row]), int(predicted[row]), shots.get(row))
        for row, (x, y) in zip(located.rows.tolist(), located.coordinates.tolist(), strict=True)
    )


def _predicted(
    images: ImageSet, probabilities: Probabilities, thresholds: Thresholds | None
) -> Targets:
    """Return the number of the predicted class of each image."""
    number = {name: at for at, name in enumerate(images.classes)}
    answers = images.task.answers(probabilities, images.labels, images.classes, thresholds)
    return np.array([number[str(name)] for name in answers["predicted"]], dtype=np.int64)
