"""The evaluation of detections as a whole."""

from time import perf_counter

import numpy as np
import pytest

from headstart.answers import Thresholds
from headstart.boxes import Boxes, Detections
from headstart.evaluation.bootstrap import bootstrap
from headstart.evaluation.boxes.average_precision import AveragePrecision
from headstart.evaluation.boxes.coco_metrics import measure_coco
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.evaluation.boxes.thresholds import choose_thresholds
from headstart.record import BoxesEvaluation, MetricValue, RecallAtFalsePositives
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes

AT_HALF = Thresholds("f1", (0.5, 0.5, 0.5), ("", "", ""))


@pytest.fixture(scope="module")
def scenes() -> BoxesEvaluation:
    return evaluate_boxes(*make_scenes(40, seed=3), CLASSES, thresholds=AT_HALF, resamples=200)


def test_the_metrics_are_those_of_coco_with_intervals(scenes) -> None:
    """mAP, mAP50, mAP75, recall, sizes and classes."""
    metrics = measure_coco(*make_scenes(40, seed=3), CLASSES)
    assert (scenes.map.value, scenes.map50.value) == (metrics.map, metrics.map50)
    assert (scenes.map75, scenes.ar100) == (metrics.map75, metrics.ar100)
    for metric in (scenes.map, scenes.map50):
        low, high = metric.ci95
        assert low < metric.value < high
        assert metric.method == "bootstrap"
    at_50 = AveragePrecision(metrics.matches, 40, at=(0,))
    assert scenes.map50.ci95 == bootstrap(at_50, resamples=200).ci95
    assert [one.ap for one in scenes.by_size] == [
        metrics.map_of(size) for size in ("small", "medium", "large")
    ]
    assert [one.ap for one in scenes.per_class] == [metrics.ap(number) for number in range(3)]
    assert (scenes.images, scenes.groups, scenes.resamples) == (40, None, 200)


def test_counts_are_of_true_boxes_without_crowds(scenes) -> None:
    """By class, by size and in all."""
    truths, _, _ = make_scenes(40, seed=3)
    kept = [truth.classes[~truth.crowd] for truth in truths]
    for number, result in enumerate(scenes.per_class):
        assert result.boxes == sum(int((one == number).sum()) for one in kept)
        assert result.images == sum(bool((one == number).any()) for one in kept)
    assert scenes.boxes == sum(map(len, kept)) == sum(one.boxes for one in scenes.by_size)
    assert sum(truth.crowd.sum() for truth in truths) > 0


def test_precision_and_recall_are_those_above_the_threshold() -> None:
    """Two of three predicted boxes are right, of three true ones; one is below the threshold."""
    truths = [boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 0)), boxes((0, 0, 10, 10, 0))]
    detections = [
        found((0, 0, 10, 10, 0, 0.9), (20, 0, 30, 10, 0, 0.5), (50, 50, 60, 60, 0, 0.5)),
        found((0, 0, 10, 10, 0, 0.49)),
    ]
    thresholds = Thresholds("f1", (0.5, 0.5), ("", "none"))
    result = evaluate_boxes(
        truths, detections, [(99, 99)] * 2, ("cat", "dog"), thresholds=thresholds
    )
    cat, dog = result.per_class
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (cat.predicted, cat.hits, cat.boxes, cat.images) == (3, 2, 3, 2)
    assert (dog.ap, dog.precision, dog.recall, dog.f1, dog.boxes) == (None, None, None, None, 0)
    assert (dog.precision_recall, dog.shortfall) == ((), "none")
    assert (result.precision, result.recall, result.f1) == (cat.precision, cat.recall, cat.f1)
    assert result.absent == ("dog",)
    counts = {one.kind: one.count for one in result.errors}
    assert (counts["background"], counts["missed"]) == (1, 1)


def test_the_curve_is_the_one_below_which_ap50_is_the_area(scenes) -> None:
    """Its points are COCO's levels of recall; levels that are not reached have precision 0."""
    for result in scenes.per_class:
        levels, precision = zip(*result.precision_recall, strict=True)
        assert levels == tuple(np.round(np.arange(len(levels)) / 100, 2))
        assert sum(precision) / 101 == pytest.approx(result.ap50, abs=1e-4)
        assert len(levels) < 101


def test_recall_is_measured_at_fixed_false_positives_per_image() -> None:
    """Of ten images, one false positive is allowed at 0.1 per image, ten at 1."""
    truths = [boxes((0, 0, 10, 10, 0))] * 10
    wrong = [(50, 50, 60, 60, 0, 0.95 - number / 1000) for number in range(2)]
    detections = [found((0, 0, 10, 10, 0, 0.99)), found(*wrong), found((0, 0, 10, 10, 0, 0.9))]
    result = evaluate_boxes(
        truths,
        [*detections, *[Detections.none()] * 7],
        [(99, 99)] * 10,
        ("cat",),
        thresholds=Thresholds("f1", (0.5,), ("",)),
    )
    expected = (RecallAtFalsePositives(0.1, 0.1, 0.95), RecallAtFalsePositives(1.0, 0.2, 0.9))
    assert result.recall_at_false_positives == result.per_class[0].recall_at_false_positives
    assert result.recall_at_false_positives == expected


def test_groups_are_resampled_as_a_whole() -> None:
    """With groups, the record has their number."""
    truths, detections, sizes = make_scenes(40, seed=3)
    groups = [str(row // 4) for row in range(40)]
    grouped = evaluate_boxes(
        truths, detections, sizes, CLASSES, thresholds=AT_HALF, groups=groups, resamples=200
    )
    assert (grouped.groups, grouped.map.method) == (10, "cluster bootstrap")


@pytest.mark.parametrize("images", [0, 1])
def test_nothing_labelled_and_nothing_found(images: int) -> None:
    """All metrics are None, and nothing fails."""
    empty = [Boxes.none()] * images, [Detections.none()] * images, [(10, 10)] * images
    result = evaluate_boxes(*empty, CLASSES, thresholds=AT_HALF)
    assert (result.map, result.map50) == (MetricValue(None), MetricValue(None))
    assert (result.map75, result.ar100, result.f1, result.boxes) == (None, None, None, 0)
    assert result.verdict == "mAP50 not defined"


def test_500_images_take_seconds() -> None:
    """1,000 resamples, three classes."""
    scenes = make_scenes(500)
    thresholds = choose_thresholds(measure_coco(*scenes, CLASSES).matches, CLASSES)
    start = perf_counter()
    evaluate_boxes(*scenes, CLASSES, thresholds=thresholds)
    assert perf_counter() - start < 10
