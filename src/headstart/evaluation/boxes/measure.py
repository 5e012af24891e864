"""The evaluation of detections: all metrics of labelled images."""

from collections.abc import Sequence

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Rows
from headstart.boxes import Boxes, Detections
from headstart.evaluation.bootstrap import bootstrap, number_groups
from headstart.evaluation.boxes.average_precision import AveragePrecision
from headstart.evaluation.boxes.class_matches import ClassMatches
from headstart.evaluation.boxes.class_results import (
    measure_classes,
    rates,
    recall_at_false_positives,
)
from headstart.evaluation.boxes.coco_files import Size
from headstart.evaluation.boxes.coco_metrics import BOUNDS, SIZES, CocoMetrics, measure_coco
from headstart.evaluation.boxes.error_kinds import measure_errors
from headstart.record import BoxesEvaluation, IntervalMethod, MetricValue, SizeResult

RESAMPLES = 1000
"""The number of resamples of the intervals."""

_FEWEST = 200
# With more pairs of a right detection and a resample, fewer resamples are drawn, so that intervals
# take seconds and not minutes.
_MAX_WORK = 10**7


def evaluate_boxes(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    sizes: Sequence[Size],
    classes: Sequence[str],
    *,
    thresholds: Thresholds,
    groups: Sequence[str] = (),
    resamples: int = RESAMPLES,
) -> BoxesEvaluation:
    """Evaluate detections in labelled images.

    Average precision and recall are pycocotools'. Intervals are those of the bootstrap over images
    or, with groups, over groups of images.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image, the most probable first, with those below the
            thresholds: average precision needs them.
        sizes: The width and height of each image.
        classes: The names of the classes.
        thresholds: The operating point, with a value for each class.
        groups: The group of each image, if images of a group are not independent.
        resamples: The number of resamples; fewer are drawn of very many boxes.

    Raises:
        OptionError: pycocotools is not installed.
    """
    metrics = measure_coco(truths, detections, sizes, classes)
    numbers, count = number_groups(np.array(groups) if len(groups) else None, len(truths))
    grouped = count < len(truths)
    drawn = affordable_resamples(metrics.matches, resamples)
    interval = _Intervals(metrics, numbers if grouped else None, drawn)
    by_class = measure_classes(metrics, classes, thresholds)
    hits, predicted = sum(one.hits for one in by_class), sum(one.predicted for one in by_class)
    precision, recall, f1 = rates(hits, predicted, sum(one.boxes for one in by_class))
    return BoxesEvaluation(
        images=len(truths),
        map=interval.of(metrics.map),
        map50=interval.of(metrics.map50, at=(0,)),
        map75=metrics.map75,
        ar100=metrics.ar100,
        by_size=_by_size(metrics, truths),
        per_class=by_class,
        precision=precision,
        recall=recall,
        f1=f1,
        errors=measure_errors(
            truths, detections, len(classes), np.array(thresholds.values, np.float64)
        ),
        recall_at_false_positives=recall_at_false_positives(metrics.matches, len(truths)),
        purpose=thresholds.purpose,
        resamples=drawn,
        groups=count if grouped else None,
    )


class _Intervals:
    """Adds the intervals of the bootstrap to metrics."""

    def __init__(self, metrics: CocoMetrics, groups: Rows | None, resamples: int) -> None:
        self._matches, self._groups, self._resamples = metrics.matches, groups, resamples

    def of(self, value: float | None, at: tuple[int, ...] = AveragePrecision.at) -> MetricValue:
        """Return a metric with its interval.

        Args:
            value: Mean average precision.
            at: The numbers of the IoU thresholds that it is over.
        """
        if value is None:
            return MetricValue(None)
        metric = AveragePrecision(self._matches, len(self._matches[0].boxes), at)
        ci95 = bootstrap(metric, self._groups, resamples=self._resamples).ci95
        method: IntervalMethod = "bootstrap" if self._groups is None else "cluster bootstrap"
        return MetricValue(value, ci95, method if ci95 else None)


def affordable_resamples(matches: Sequence[ClassMatches], wished: int = RESAMPLES) -> int:
    """Return how many resamples can be drawn in seconds, at most as many as are wished."""
    right = sum(int(each.hits().sum()) for each in matches)
    return int(np.clip(_MAX_WORK // max(right, 1), min(_FEWEST, wished), wished))


def _by_size(metrics: CocoMetrics, truths: Sequence[Boxes]) -> tuple[SizeResult, ...]:
    counts = np.zeros(len(SIZES), np.int64)
    for truth in truths:
        sides = (truth.corners[:, 2:] - truth.corners[:, :2]).astype(np.float64)
        # A box at a bound counts for both sizes in COCO; here it is counted once.
        number = np.searchsorted(BOUNDS, sides.prod(axis=1)[~truth.crowd], side="right")
        counts += np.bincount(number, minlength=len(SIZES))
    return tuple(
        SizeResult(size, metrics.map_of(size), metrics.ar100_of(size), count)
        for size, count in zip(SIZES, counts.tolist(), strict=True)
    )
