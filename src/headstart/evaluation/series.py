"""Find series among training images: near copies with related names, such as bursts or frames.

Folds tear a series apart, so each image is predicted by a model that has seen its near copies, and
a cross-validation estimates too high an accuracy.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Features, Flags, Rows, Targets
from headstart.record import Series

# What images of a series have in common: the name before the last number, the folder, or the name
# before the first separator.
_PATTERNS = (r"^(.*?)\d+\D*$", r"^(.*)/[^/]*$", r"^(.*/[^/_-]+|[^/_-]+)[_-][^/]*$")
_MIN_SERIES = 5
_SAMPLE = 400
# Images that are compared with the sample at a time, so that no copy of all features is made.
_BLOCK = 1024
# See docs/decisions/validation.md.
_MIN_SHARE, _MIN_RATIO = 0.5, 3.0


@dataclass(frozen=True)
class _Grouping:
    """Images grouped by a pattern: the pattern, and the number of each image's group."""

    pattern: str
    groups: Rows


def find_series(
    names: Sequence[str],
    features: Features,
    targets: Targets,
    groups: Sequence[str],
    *,
    table: bool = False,
    seed: int = 0,
) -> Series | None:
    """Look for groups of related names whose images are nearest neighbours of each other.

    For up to 400 images, the most similar image of the same class is found, by the cosine
    similarity of the features. Images are in series if that image has the same group for at least
    half of them, and at least three times as often as by chance.

    Args:
        names: The path of each image within the data.
        features: The last layer's features, shape (images, width).
        targets: The class number of each image, shape (images,).
        groups: Group of each image, such as copies, which folds keep together anyway.
        table: Whether the data is a table, in which groups are a column.
        seed: Seed of the sample.

    Returns:
        The grouping in which images are nearest to their own group most often; None if there are
        no series.
    """
    groupings = [grouping for pattern in _PATTERNS if (grouping := _group(pattern, names))]
    if not groupings:
        return None
    rows = np.random.default_rng(seed).permutation(len(names))[:_SAMPLE]
    known = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    nearest = _nearest_of_class(features, targets, known, rows)
    found = [_measure(grouping, rows, nearest, targets, table) for grouping in groupings]
    return max((series for series in found if series), key=lambda one: one.share, default=None)


def _group(pattern: str, names: Sequence[str]) -> _Grouping | None:
    """Group names by a pattern; None if that gives fewer than five groups of several images."""
    expression = re.compile(pattern)
    matches = [expression.search(name) for name in names]
    keys = [match.group(1) if match else name for match, name in zip(matches, names, strict=True)]
    if sum(count > 1 for count in Counter(keys).values()) < _MIN_SERIES:
        return None
    return _Grouping(pattern, np.unique(keys, return_inverse=True)[1].astype(np.int64))


def _nearest_of_class(features: Features, targets: Targets, known: Rows, rows: Rows) -> Rows:
    """Return the most similar image of the same class and another known group; -1 if none."""
    centre = features[rows].mean(axis=0, dtype=np.float32)
    sample = _directions(features[rows], centre)
    nearest, highest = np.full(len(rows), -1), np.full(len(rows), -np.inf)
    for start in range(0, len(features), _BLOCK):
        block = slice(start, start + _BLOCK)
        similarity = sample @ _directions(features[block], centre).T
        similarity[targets[rows, np.newaxis] != targets[block]] = -np.inf
        similarity[known[rows, np.newaxis] == known[block]] = -np.inf
        best = similarity.argmax(axis=1)
        found = similarity[np.arange(len(rows)), best]
        nearest = np.where(found > highest, start + best, nearest)
        highest = np.maximum(found, highest)
    return nearest


def _directions(features: Features, centre: Features) -> Features:
    """Return features relative to a centre, scaled to length 1."""
    centred = features.astype(np.float32) - centre
    directions: Features = centred / np.maximum(
        np.linalg.norm(centred, axis=1, keepdims=True), 1e-12
    )
    return directions


def _measure(
    grouping: _Grouping, rows: Rows, nearest: Rows, targets: Targets, table: bool
) -> Series | None:
    """Return the series of a grouping if nearest images are unusually often in the same group."""
    groups = grouping.groups
    mates = _sizes(groups) - 1
    counted: Flags = (mates[rows] > 0) & (nearest >= 0)
    if not counted.any():
        return None
    rows, nearest = rows[counted], nearest[counted]
    share = float((groups[rows] == groups[nearest]).mean())
    together = _sizes(np.unique(np.stack([groups, targets]), axis=1, return_inverse=True)[1]) - 1
    chance = float((together[rows] / (_sizes(targets)[rows] - 1)).mean())
    if share < max(_MIN_SHARE, _MIN_RATIO * chance):
        return None
    count, images = len(set(groups[mates > 0].tolist())), int((mates > 0).sum())
    message = _message(grouping.pattern, count, images, share, chance, table)
    return Series(grouping.pattern, count, images, share, chance, message)


def _sizes(groups: Rows) -> Rows:
    """Return the number of images in each image's group."""
    flat = groups.ravel()
    return np.bincount(flat)[flat]


def _message(
    pattern: str, count: int, images: int, share: float, chance: float, table: bool
) -> str:
    advice = (
        f"add a column 'group' to the table, with what '{pattern}' matches in the path"
        if table
        else f"train with --group '{pattern}'"
    )
    return (
        f"The training images look like series: {images:,} images have names that form {count:,} "
        f"groups, and the most similar image of the same class is in the same group for "
        f"{share:.0%} of them (by chance, {chance:.0%}). Folds and a random test part tear such "
        f"series apart, which makes their results too high. To keep each series together, {advice}."
    )
