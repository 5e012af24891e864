"""The map of features and its plot."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from headstart.evaluation.feature_map import MAX_IMAGES, MIN_IMAGES, feature_map
from headstart.report.feature_plot import COLOURS, plot_features
from headstart.report.test_images import MapPoint


def clusters(images: int, width: int = 32) -> np.ndarray:
    """Return features of two distant groups, in turn."""
    noise = np.random.default_rng(0).normal(0, 1, (images, width))
    return (noise + 20 * (np.arange(images) % 2)[:, np.newaxis]).astype(np.float32)


@pytest.mark.parametrize("images", [MIN_IMAGES, 60])
def test_similar_images_are_close_together(images: int) -> None:
    """The nearest neighbour on the map is of the same group."""
    found = feature_map(clusters(images), seed=0)
    assert found is not None
    assert found.rows.tolist() == list(range(images))
    assert found.coordinates.shape == (images, 2)
    distances = np.linalg.norm(found.coordinates[:, None] - found.coordinates[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) % 2 == np.arange(images) % 2).all()


def test_the_same_seed_gives_the_same_map() -> None:
    """To the last bit."""
    first, second = (feature_map(clusters(40), seed=3) for _ in range(2))
    assert first is not None and second is not None
    assert (first.coordinates == second.coordinates).all()


def test_of_many_images_a_sample_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on the seed, and its rows are in order."""
    assert MAX_IMAGES == 2000
    monkeypatch.setattr("headstart.evaluation.feature_map.MAX_IMAGES", 30)
    first, second = (feature_map(clusters(90), seed=seed) for seed in (0, 1))
    assert first is not None and second is not None
    assert len(first.rows) == len(set(first.rows.tolist())) == 30
    assert (np.diff(first.rows) > 0).all()
    assert first.rows.tolist() != second.rows.tolist()


@pytest.mark.parametrize(
    "features",
    [clusters(MIN_IMAGES - 1), np.ones((40, 8), dtype=np.float32), clusters(40, width=1)],
    ids=["few images", "equal features", "one feature"],
)
def test_some_images_have_no_map(features: np.ndarray) -> None:
    """There is nothing to see on it, or no second dimension."""
    assert feature_map(features, seed=0) is None


def points(*places: tuple[float, float], truth: int = 0) -> list[MapPoint]:
    return [MapPoint(x, y, truth, 0, None) for x, y in places]


def starts(path: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r"M(-?\d+) (-?\d+)", path)]


def test_the_plot_keeps_proportions() -> None:
    """Both axes have the same scale, and y points up."""
    plot = plot_features(points((0, 0), (10, 0), (10, 5)), ("a",))
    assert plot is not None
    assert starts(plot.classes[0].right) == [(24, 500), (976, 500), (976, 24)]
    assert plot.height == 524


def test_a_high_map_is_centred() -> None:
    """It is as wide as any other plot."""
    plot = plot_features(points((0, 0), (5, 10)), ("a",))
    assert plot is not None
    assert starts(plot.classes[0].right) == [(262, 976), (738, 24)]
    assert plot.height == 1000


def test_marks_are_sorted_by_class_and_correctness() -> None:
    """Wrong predictions and images with a picture are drawn apart; absent classes are left out."""
    given = [
        MapPoint(0, 0, 0, 0, None),
        MapPoint(1, 1, 0, 2, None),
        MapPoint(2, 2, 2, 2, 7),
        MapPoint(3, 3, 2, 0, 8),
    ]
    plot = plot_features(given, ("a", "b", "c"))
    assert plot is not None
    assert (plot.images, plot.wrong, plot.pictured) == (4, 2, 2)
    first, third = plot.classes
    assert (first.name, first.images, third.name, third.images) == ("a", 2, "c", 2)
    assert len(starts(first.right)) == len(starts(first.wrong)) == 1
    assert [(mark.shot, mark.wrong) for mark in third.pictured] == [(7, False), (8, True)]


def test_colour_and_shape_tell_forty_classes_apart() -> None:
    """The first eight differ in colour, and neighbours in the list in both."""
    names = tuple(f"class {number}" for number in range(40))
    given = [MapPoint(number, 0, number, number, None) for number in range(40)]
    plot = plot_features(given, names)
    assert plot is not None
    looks = [(one.colour, one.sample) for one in plot.classes]
    assert len(set(looks)) == 40
    assert len({colour for colour, _ in looks}) == COLOURS
    for (colour, sample), (next_colour, next_sample) in itertools.pairwise(looks):
        assert colour != next_colour and sample != next_sample


def test_without_points_there_is_no_plot() -> None:
    """As in a report without a map."""
    assert plot_features([], ("a",)) is None
