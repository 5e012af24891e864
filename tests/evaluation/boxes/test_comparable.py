"""The metrics by which two detectors are compared."""

import numpy as np
import pytest

from headstart.answers import Thresholds
from headstart.boxes import Detections
from headstart.evaluation.boxes.comparable import measure_for_comparison
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.evaluation.paired import compare_metrics
from headstart.evaluation.weighted_metrics import measure_once
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes

LIMITS = (0.5, 0.4, 0.6)


def test_the_metrics_are_those_of_an_evaluation() -> None:
    """Mean average precision, precision, recall and F1."""
    truths, detections, sizes = make_scenes(40, seed=3)
    thresholds = Thresholds("f1", LIMITS, ("", "", ""))
    evaluated = evaluate_boxes(
        truths, detections, sizes, CLASSES, thresholds=thresholds, resamples=200
    )
    metrics = measure_for_comparison(truths, detections, sizes, CLASSES, np.array(LIMITS)).metrics
    assert list(metrics) == ["map", "map50", "precision", "recall", "f1"]
    for name, metric in metrics.items():
        expected = getattr(evaluated, name)
        expected = expected.value if name.startswith("map") else expected
        assert measure_once(metric) == pytest.approx(expected, abs=1e-12), name


def test_an_image_is_correct_if_it_has_no_error() -> None:
    """Neither a missed box nor a false alarm; crowds are neither."""
    truths = [
        boxes((0, 0, 10, 10, 0)),
        boxes((0, 0, 10, 10, 0)),
        boxes((0, 0, 10, 10, 0)),
        boxes(),
        boxes((0, 0, 10, 10, 0), crowd=True),
    ]
    detections = [
        found((0, 0, 10, 10, 0, 0.9), (20, 20, 30, 30, 0, 0.4)),
        found((0, 0, 10, 10, 0, 0.9), (20, 20, 30, 30, 0, 0.6)),
        found((0, 0, 10, 10, 1, 0.9)),
        found(),
        found(),
    ]
    measured = measure_for_comparison(
        truths, detections, [(40, 40)] * 5, ("a", "b"), np.array([0.5, 0.5])
    )
    assert measured.correct.tolist() == [True, False, False, True, True]


def test_a_detector_that_finds_less_is_worse() -> None:
    """By more than chance; two equal ones do not differ."""
    truths, detections, sizes = make_scenes(60, seed=5)
    fewer = [Detections.none() if number % 2 else one for number, one in enumerate(detections)]
    first, second = (
        measure_for_comparison(truths, some, sizes, CLASSES, np.array(LIMITS)).metrics
        for some in (detections, fewer)
    )
    found = {one.metric: one for one in compare_metrics(first, second, resamples=300)}
    assert found["map"].difference < 0 and found["map"].ci95[1] < 0 and found["map"].p < 0.01
    assert found["recall"].difference < 0 and found["recall"].p < 0.01
    same = compare_metrics(first, first, resamples=100)
    assert all(one.difference == 0 and one.p == 1 for one in same)
