"""Mean average precision of weighted images, against COCOeval on images that are repeated."""

import numpy as np
import pytest

from headstart.boxes import Detections
from headstart.evaluation.bootstrap import bootstrap
from headstart.evaluation.boxes.average_precision import (
    AveragePrecision,
    average_precision,
    precisions,
)
from headstart.evaluation.boxes.coco_metrics import measure_coco
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes


def repeated(values: list, counts: np.ndarray) -> list:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def test_with_weights_of_one_precisions_are_those_of_cocoeval_exactly() -> None:
    """Every element of COCOeval's array is equal, also with crowds and an absent class."""
    metrics = measure_coco(*make_scenes(60), (*CLASSES, "fish"))
    own = precisions(metrics.matches, np.ones((1, 60)))[0]
    assert np.array_equal(own, metrics.precision[..., 0])
    assert any(each.ignored.any() for each in metrics.matches)
    assert (own[..., 3] == -1).all()


def test_a_resample_is_cocoeval_on_the_drawn_images() -> None:
    """Images that are drawn twice count twice; those that are not drawn do not count."""
    truths, detections, sizes = make_scenes(25, seed=1)
    matches = measure_coco(truths, detections, sizes, CLASSES).matches
    draw = np.random.default_rng(5)
    weights = np.array([np.bincount(draw.integers(0, 25, 25), minlength=25) for _ in range(4)])
    own = precisions(matches, weights.astype(float))
    for row, counts in enumerate(weights):
        drawn = [repeated(values, counts) for values in (truths, detections, sizes)]
        assert np.array_equal(own[row], measure_coco(*drawn, CLASSES).precision[..., 0])


def test_the_metric_is_the_mean_that_coco_reports() -> None:
    """Of all IoU thresholds, of 0.5 only, and of some of the images."""
    truths, detections, sizes = make_scenes(30, seed=2)
    metrics = measure_coco(truths, detections, sizes, CLASSES)
    every = AveragePrecision(metrics.matches, 30)
    assert every(np.ones((2, 30))) == pytest.approx([metrics.map] * 2, abs=1e-14)
    at_50 = AveragePrecision(metrics.matches, 30, at=(0,))
    assert at_50(np.ones((1, 30))) == pytest.approx([metrics.map50], abs=1e-14)
    rows = np.array([3, 4, 9, 20])
    some = [[values[row] for row in rows] for values in (truths, detections, sizes)]
    expected = measure_coco(*some, CLASSES).map
    assert every.take(rows)(np.ones((1, 4))) == pytest.approx([expected], abs=1e-14)


def test_classes_that_no_drawn_image_has_are_left_out() -> None:
    """As in COCO; without any true box, the metric is undefined."""
    truths = [boxes((0, 0, 9, 9, 0)), boxes((0, 0, 9, 9, 1)), boxes()]
    detections = [found((0, 0, 9, 9, 0, 0.9)), Detections.none(), found((0, 0, 9, 9, 0, 0.9))]
    matches = measure_coco(truths, detections, [(10, 10)] * 3, ("cat", "dog")).matches
    weights = np.array([[1.0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    values = AveragePrecision(matches, 3)(weights)
    assert values == pytest.approx([0.5, 1, 0, np.nan], nan_ok=True)


def test_nothing_to_measure_is_undefined() -> None:
    """Without detections, true boxes or classes."""
    nothing = AveragePrecision((), 2)
    assert np.isnan(nothing(np.ones((3, 2)))).tolist() == [True] * 3
    empty = measure_coco([boxes()], [Detections.none()], [(9, 9)], CLASSES).matches
    assert np.isnan(AveragePrecision(empty, 1)(np.ones((1, 1)))).all()


def test_the_bootstrap_interval_contains_the_metric() -> None:
    """The same seed gives the same interval; that of groups is wider."""
    truths, detections, sizes = (values * 4 for values in make_scenes(20, seed=3))
    metric = AveragePrecision(measure_coco(truths, detections, sizes, CLASSES).matches, 80)
    apart = bootstrap(metric, resamples=200)
    grouped = bootstrap(metric, np.arange(80) % 20, resamples=200)
    assert apart == bootstrap(metric, resamples=200)
    low, high = apart.ci95
    assert low < apart.value < high
    assert grouped.ci95[1] - grouped.ci95[0] > 1.5 * (high - low)


def test_average_precision_of_one_list() -> None:
    """Right, wrong, right of two boxes: 1 up to half the recall, 2/3 above."""
    scores, hits = np.array([0.3, 0.9, 0.6]), np.array([True, True, False])
    assert average_precision(scores, hits, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 2) == 0
