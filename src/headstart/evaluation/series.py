"""Find series among training images: near copies of one subject, such as bursts or frames.

Folds that tear a series apart predict each image by a model that has seen its near copies, so their
estimate is too high, and the calibration overconfident. Series have related names; where they do
not, they are clusters of images that are much nearer to each other than to any others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Features, Flags, Rows, Targets
from headstart.data.duplicates import component_labels
from headstart.evaluation.clusters import MAX_CLUSTERED, Neighbours, cluster, find_neighbours
from headstart.record import Series

# What images of a series have in common: the name before the last number, the folder, or the name
# before the first separator.
_PATTERNS = (r"^(.*?)\d+\D*$", r"^(.*)/[^/]*$", r"^(.*/[^/_-]+|[^/_-]+)[_-][^/]*$")
# The file's name before its last number, if it has a number itself, such as "p012" of "p012_3.png".
_STEM = r"([^/]*\d)[^/\d.]+\d+[^/\d.]*(?:\.[^/.]*)?$"
_MIN_SERIES = 5
_SAMPLE = 400
# See docs/decisions/validation.md.
_MIN_SHARE, _MIN_RATIO = 0.5, 3.0
_MIN_NEAR, _MAX_DISTANCE = 1 / 3, 0.5


@dataclass(frozen=True)
class FoundSeries:
    """Series, and the groups by which folds keep them together.

    Attributes:
        series: The finding.
        groups: For each image, the number of an image of its group: the series, and what was known.
    """

    series: Series
    groups: Rows


@dataclass(frozen=True)
class NamedGroups:
    """Groups that the names of the files suggest.

    Attributes:
        groups: The number of each image's group.
        message: What was found and what to do, in a sentence for the user.
    """

    groups: Rows
    message: str


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
    seed: int = 0,
) -> FoundSeries | None:
    """Look for series by names and features, and by features only where names do not tell.

    For up to 400 images, the most similar image of the same class is found, by the cosine
    similarity of the features. Images with related names are in series if that image has the same
    group for at least half of them, and at least three times as often as by chance. Without such
    names, images are in series if that image is less than half as far as any image of another
    class, and as its own class typically is, for at least a third of them.

    Args:
        names: The path of each image within the data.
        features: The last layer's features, shape (images, width).
        targets: The class number of each image, shape (images,).
        groups: Group of each image, such as copies, which folds keep together anyway.
        seed: Seed of the sample.

    Returns:
        The grouping in which images are nearest to their own group most often, or the clusters;
        None if there are no series.
    """
    rows = np.random.default_rng(seed).permutation(len(names))[:_SAMPLE]
    known = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    neighbours = find_neighbours(features, targets, known, rows)
    groupings = [grouping for pattern in _PATTERNS if (grouping := _group(pattern, names))]
    measured = ((_measure(one, neighbours, targets), one.groups) for one in groupings)
    named = [(series, numbers) for series, numbers in measured if series]
    if named:
        series, numbers = max(named, key=lambda pair: pair[0].share)
        return FoundSeries(series, _joined(known, numbers))
    return _find_by_features(features, targets, known, neighbours)


def guess_by_names(names: Sequence[str]) -> NamedGroups | None:
    """Guess which images belong together by common stems of names, such as "p012_3.png".

    Args:
        names: The path of each image within the data.

    Returns:
        The groups; None if fewer than five stems have several images.
    """
    grouping = _group(_STEM, names)
    if grouping is None:
        return None
    images, stems = _sizes(grouping.groups) > 1, set(grouping.groups.tolist())
    example = re.search(_STEM, names[int(np.flatnonzero(images)[0])])
    stem = example.group(1) if example else ""
    message = (
        f"The names of the training images have {len(stems):,} common stems, such as '{stem}'; if "
        "images with the same stem belong together, keep them on one side of the split: "
        f"train with --group '{_STEM}'."
    )
    return NamedGroups(grouping.groups, message)


def join_groups(known: Sequence[str], groups: Rows) -> Rows:
    """Return groups that keep both known groups, such as copies, and other groups whole."""
    return _joined(np.unique(known, return_inverse=True)[1].astype(np.int64), groups)


def _joined(known: Rows, series: Rows) -> Rows:
    """Return the groups that keep both known groups and series whole."""
    pairs = []
    for numbers in (known, series):
        _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        pairs.append(np.stack([np.arange(len(numbers)), first[inverse]], axis=1))
    return component_labels(len(known), np.concatenate(pairs))


def _find_by_features(
    features: Features, targets: Targets, known: Rows, neighbours: Neighbours
) -> FoundSeries | None:
    limit = _MAX_DISTANCE * np.minimum(neighbours.typical, neighbours.other)
    share = float((neighbours.near < limit).mean())
    if share < _MIN_NEAR:
        return None
    clusters = cluster(features, targets, neighbours)
    groups = _joined(known, known if clusters is None else clusters)
    together = _sizes(groups) > 1
    count = len(set(groups[together].tolist()))
    if clusters is not None and count < _MIN_SERIES:
        return None
    images = int(together.sum())
    message = _message_of_clusters(share, count, images, clusters is not None)
    return FoundSeries(Series(None, count, images, share, None, message), groups)


def _group(pattern: str, names: Sequence[str]) -> _Grouping | None:
    """Group names by a pattern; None if that gives fewer than five groups of several images."""
    expression = re.compile(pattern)
    matches = [expression.search(name) for name in names]
    keys = [match.group(1) if match else name for match, name in zip(matches, names, strict=True)]
    if sum(count > 1 for count in Counter(keys).values()) < _MIN_SERIES:
        return None
    return _Grouping(pattern, np.unique(keys, return_inverse=True)[1].astype(np.int64))


def _measure(grouping: _Grouping, neighbours: Neighbours, targets: Targets) -> Series | None:
    """Return the series of a grouping if nearest images are unusually often in the same group."""
    groups, rows, nearest = grouping.groups, neighbours.rows, neighbours.nearest
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
    message = _message(grouping.pattern, count, images, share, chance)
    return Series(grouping.pattern, count, images, share, chance, message)


def _sizes(groups: Rows) -> Rows:
    """Return the number of images in each image's group."""
    flat = groups.ravel()
    return np.bincount(flat)[flat]


def _message(pattern: str, count: int, images: int, share: float, chance: float) -> str:
    return (
        f"The training images look like series: {images:,} images have names that form {count:,} "
        f"groups, and the most similar image of the same class is in the same group for "
        f"{share:.0%} of them (by chance, {chance:.0%}). The folds keep each series together. A "
        "random test part does not, which makes its results too high. To keep series together "
        f"there too, train with --group '{pattern}'."
    )


def _message_of_clusters(share: float, count: int, images: int, clustered: bool) -> str:
    folds = (
        f"The folds keep clusters of similar images together ({images:,} images in {count:,} "
        "clusters). A random test part does not, which makes its results too high."
        if clustered
        else f"A class has more than {MAX_CLUSTERED:,} images, which is too many to search for "
        "clusters. Folds and a random test part tear series apart, which makes their results too "
        "high."
    )
    return (
        f"The training images look like series of near copies: for {share:.0%} of them, the most "
        "similar image of the same class is less than half as far as any image of another class. "
        f"{folds} If you know which images belong together, say so with --group."
    )
