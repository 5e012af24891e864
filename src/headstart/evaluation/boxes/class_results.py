"""Results by class: average precision, and precision and recall at the thresholds."""

from collections.abc import Sequence
from math import floor

import numpy as np

from headstart.answers import Thresholds
from headstart.evaluation.boxes.average_precision import RECALL_LEVELS
from headstart.evaluation.boxes.class_matches import ClassMatches
from headstart.evaluation.boxes.coco_metrics import CocoMetrics
from headstart.evaluation.boxes.thresholds import cuts
from headstart.record import BoxClassResult, RecallAtFalsePositives

FALSE_POSITIVES = (0.1, 1.0)
"""The mean numbers of false positives per image at which recall is reported."""

_DIGITS = 4


def measure_classes(
    metrics: CocoMetrics, classes: Sequence[str], thresholds: Thresholds
) -> tuple[BoxClassResult, ...]:
    """Return the results of each class.

    Args:
        metrics: The average precision and the matches.
        classes: The names of the classes.
        thresholds: The operating point, with a value for each class.
    """
    return tuple(
        _measure_class(metrics, category, name, threshold, note)
        for category, (name, threshold, note) in enumerate(
            zip(classes, thresholds.values, thresholds.notes, strict=True)
        )
    )


def rates(hits: int, predicted: int, boxes: int) -> tuple[float | None, ...]:
    """Return precision, recall and F1; each is None where it is not defined."""
    precision = hits / predicted if predicted else None
    if not boxes:
        return precision, None, None
    return precision, hits / boxes, 2 * hits / (predicted + boxes)


def recall_at_false_positives(
    matches: Sequence[ClassMatches], images: int
) -> tuple[RecallAtFalsePositives, ...]:
    """Return recall at IoU 0.5 where 0.1 and 1 false positives per image are allowed.

    Args:
        matches: The detections of the classes that have the same threshold.
        images: The number of images.
    """
    boxes, at = sum(each.total for each in matches), cuts(matches)
    found = []
    for rate in FALSE_POSITIVES:
        allowed = np.flatnonzero(at.false_alarms <= floor(rate * images))
        hits = float(at.hits[allowed[-1]]) if len(allowed) else 0.0
        threshold = float(at.values[allowed[-1]]) if len(allowed) else None
        found.append(RecallAtFalsePositives(rate, hits / boxes if boxes else None, threshold))
    return tuple(found)


def _measure_class(
    metrics: CocoMetrics, category: int, name: str, threshold: float, note: str
) -> BoxClassResult:
    matches = metrics.matches[category]
    kept = matches.scores >= threshold
    hits, wrong = int(matches.hits()[kept].sum()), int(matches.false_alarms()[kept].sum())
    precision, recall, f1 = rates(hits, hits + wrong, matches.total)
    return BoxClassResult(
        name=name,
        ap=metrics.ap(category),
        ap50=metrics.ap50(category),
        threshold=threshold,
        precision=precision if matches.total else None,
        recall=recall,
        f1=f1,
        boxes=matches.total,
        predicted=hits + wrong,
        hits=hits,
        images=int(np.count_nonzero(matches.boxes)),
        precision_recall=_curve(metrics, category),
        recall_at_false_positives=recall_at_false_positives([matches], len(matches.boxes)),
        shortfall=note,
    )


def _curve(metrics: CocoMetrics, category: int) -> tuple[tuple[float, float], ...]:
    """Return the precision that AP50 averages, up to the highest recall that is reached."""
    reached = np.flatnonzero(metrics.recall[0, category, 0] >= RECALL_LEVELS)
    precision = metrics.precision[0, :, category, 0]
    return tuple(
        (round(float(RECALL_LEVELS[at]), 2), round(float(precision[at]), _DIGITS)) for at in reached
    )
