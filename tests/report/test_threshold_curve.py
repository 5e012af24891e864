"""The curve of the threshold: exact counts at its levels, few of them, and the model's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.answers import Thresholds
from headstart.report.threshold_curve import plot_threshold_curve, threshold_curve

CLASSES = ("cat", "dog")


def both(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities of both classes, from those of the second one."""
    return np.stack([1 - scores, scores], axis=1)


def at(threshold: float) -> Thresholds:
    return Thresholds("sensitivity=0.9", (1 - threshold, threshold), ("", ""), positive=1)


@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1), min_size=2),
    threshold=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_counts_are_exact(scores: list[float], threshold: float, seed: int) -> None:
    """Every level has the counts of its threshold, and one level is the model's own."""
    values = np.array(scores)
    targets = np.random.default_rng(seed).integers(0, 2, len(values))
    targets[:2] = [0, 1]
    curve = threshold_curve(both(values), targets, CLASSES, at(threshold))
    assert curve is not None
    assert (curve.positives, curve.negatives) == (targets.sum(), (1 - targets).sum())
    for level in curve.levels:
        found = values >= level.threshold
        assert level.true_positives == (found & (targets == 1)).sum()
        assert level.false_positives == (found & (targets == 0)).sum()
    assert curve.levels[curve.own].threshold == threshold
    limits = [level.threshold for level in curve.levels]
    assert limits == sorted(set(limits))
    assert curve.levels[0].true_positives + curve.levels[0].false_positives == len(values)


def test_a_long_curve_has_few_levels_at_equal_distances() -> None:
    """100,000 images need no more levels than 1,000: about one for each percent of both rates."""
    rng = np.random.default_rng(0)
    targets = (rng.random(100_000) < 0.1).astype(np.int64)
    scores = np.clip(rng.normal(0.3 + 0.3 * targets, 0.2), 0, 1)
    curve = threshold_curve(both(scores), targets, CLASSES, at(0.5))
    assert curve is not None
    assert 100 < len(curve.levels) <= 204
    recalls = [level.true_positives / curve.positives for level in curve.levels]
    assert max(first - second for first, second in itertools.pairwise(recalls)) < 0.03


def test_without_an_operating_point_the_rarer_class_is_positive() -> None:
    """The model's own level gives what the most probable class gives, even in a tie."""
    for targets in (np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0])):
        probabilities = both(np.array([0.2, 0.5, 0.7, 0.5]))
        curve = threshold_curve(probabilities, targets, CLASSES, None)
        assert curve is not None
        positive = int(np.bincount(targets).argmin())
        assert (curve.positive, curve.negative) == (CLASSES[positive], CLASSES[1 - positive])
        predicted = probabilities.argmax(axis=1) == positive
        own = curve.levels[curve.own]
        assert own.true_positives == (predicted & (targets == positive)).sum()
        assert own.false_positives == (predicted & (targets != positive)).sum()
        assert curve.purpose == ""


@pytest.mark.parametrize("classes", [CLASSES, ("cat", "dog", "fish")])
def test_it_needs_images_of_exactly_two_classes(classes: tuple[str, ...]) -> None:
    """Otherwise there is nothing to find, or no other class."""
    probabilities = np.full((3, len(classes)), 1 / len(classes))
    assert threshold_curve(probabilities, np.zeros(3, dtype=np.int64), classes, None) is None
    assert plot_threshold_curve(None) is None


def test_the_plot_goes_from_everything_to_nothing() -> None:
    """The ROC curve ends at both corners; precision is not defined where nothing is predicted."""
    curve = threshold_curve(both(np.array([0.2, 0.6, 0.8])), np.array([0, 1, 1]), CLASSES, at(0.7))
    plot = plot_threshold_curve(curve)
    assert plot is not None
    assert plot.roc == ((100, 0), (0, 0), (0, 50), (0, 100))
    assert plot.precision[-1] == (50, 0)
    assert (plot.own.threshold, plot.own.true_positives) == (0.7, 1)
    assert plot.prevalence == pytest.approx(2 / 3)
    assert plot.steps[-1] == [1.0, 0, 0]
