"""The identification rate of an open set, against a count by hand and against brute force."""

import numpy as np
import pytest

from headstart.evaluation.identification import IdentificationRate
from headstart.evaluation.measuring import measure


def rate(known, strangers, false_accepts: float, right=None) -> IdentificationRate:
    """Return the rate of known images followed by strangers, from their distances."""
    count = len(known) + len(strangers)
    is_known = np.arange(count) < len(known)
    distances = np.concatenate([known, strangers]).astype(np.float64)
    hits = is_known if right is None else np.concatenate([right, np.zeros(len(strangers), bool)])
    return IdentificationRate(is_known, hits, distances, ~is_known, distances, false_accepts)


def brute_force(metric: IdentificationRate, weights: np.ndarray) -> float:
    """Return the best rate of all limits at which few enough strangers are nearer."""
    known, strangers = weights[metric.known].sum(), weights[metric.stranger].sum()
    best = 0.0
    for limit in metric.stranger_distance[metric.stranger & (weights > 0)]:
        passed = weights[metric.stranger & (metric.stranger_distance < limit)].sum()
        if passed <= metric.false_accepts * strangers + 1e-9:
            hits = metric.known & metric.right & (metric.distance < limit)
            best = max(best, weights[hits].sum() / known)
    return best


def test_by_hand() -> None:
    """One of ten strangers may pass, so the limit is the distance of the second nearest."""
    strangers = [0.3, 0.5, 0.6, 0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 1.0]
    known, right = [0.1, 0.4, 0.45, 0.5, 0.6], np.array([True, True, False, True, True])
    metric = rate(known, strangers, 0.1, right)
    assert metric.limits(np.ones((1, 15))).tolist() == [0.5]
    assert metric(np.ones((1, 15))).tolist() == [2 / 5]
    assert rate(known, strangers, 0.05, right)(np.ones((1, 15))).tolist() == [1 / 5]


@pytest.mark.parametrize("seed", range(5))
def test_brute_force(seed: int) -> None:
    """Also with ties, with images that are both known and strangers, and for many weights."""
    draw = np.random.default_rng(seed)
    count = 40
    known, right, stranger = (draw.random(count) < share for share in (0.6, 0.8, 0.7))
    near, far = draw.random(count).round(1), (0.3 + draw.random(count)).round(1)
    metric = IdentificationRate(known, right, near, stranger, far, 0.15)
    weights = draw.integers(0, 3, (20, count)).astype(np.float64)
    assert metric(weights) == pytest.approx([brute_force(metric, one) for one in weights])
    rows = np.arange(0, count, 2)
    assert metric.take(rows)(np.ones((1, 20))) == pytest.approx(
        [brute_force(metric.take(rows), np.ones(20))]
    )


def test_undefined_without_known_images_or_strangers() -> None:
    assert np.isnan(rate([], [0.5], 0.1)(np.ones((1, 1))))
    assert np.isnan(rate([0.5], [], 0.1)(np.ones((1, 1))))


def test_the_interval_includes_the_uncertainty_of_the_limit() -> None:
    """It is wider than that of a share of as many images at a fixed limit."""
    draw = np.random.default_rng(0)
    metric = rate(draw.random(200), 0.3 + draw.random(50), 0.1)
    found = measure(metric)
    assert found.ci95 is not None and found.value is not None
    low, high = found.ci95
    assert low < found.value < high
    assert high - low > 4 * np.sqrt(found.value * (1 - found.value) / 200)
