"""Average precision and recall by pycocotools itself (Lin et al., 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from headstart.arrays import Numbers
from headstart.boxes import Boxes, Detections
from headstart.errors import OptionError
from headstart.evaluation.boxes.class_matches import ClassMatches
from headstart.evaluation.boxes.coco_files import Size, coco_results, coco_truth
from headstart.record import BoxSize

MAX_DETECTIONS = 100
"""More detections of a class in an image are left out, the least probable ones."""

SIZES: tuple[BoxSize, ...] = ("small", "medium", "large")

BOUNDS: Numbers = np.array([32.0**2, 96.0**2])
"""The areas in pixels between which a box is of medium size."""

_LARGEST = 1e5**2
_AT_50, _AT_75 = 0, 5


@dataclass(frozen=True, eq=False)
class CocoMetrics:
    """The arrays of COCOeval, and the metrics that are means of them.

    A metric is None without true boxes that count.

    Attributes:
        precision: The highest precision at each of 101 levels of recall or above; -1 for a class
            without true boxes. Shape (10 IoU thresholds, 101, classes, sizes); the first size is
            all boxes, then small, medium and large.
        recall: The recall with all detections, shape (IoU thresholds, classes, sizes); likewise.
        matches: The detections of each class in boxes of all sizes, with what they match.
    """

    precision: Numbers
    recall: Numbers
    matches: tuple[ClassMatches, ...]

    @property
    def map(self) -> float | None:
        """Mean over IoU thresholds from 0.5 to 0.95 and over classes."""
        return _mean(self.precision[..., 0])

    @property
    def map50(self) -> float | None:
        """Mean over classes at IoU 0.5."""
        return _mean(self.precision[_AT_50, ..., 0])

    @property
    def map75(self) -> float | None:
        """Mean over classes at IoU 0.75."""
        return _mean(self.precision[_AT_75, ..., 0])

    @property
    def ar100(self) -> float | None:
        """Average recall, mean over IoU thresholds and classes."""
        return _mean(self.recall[..., 0])

    def ap(self, category: int) -> float | None:
        """Return the average precision of a class, mean over IoU thresholds."""
        return _mean(self.precision[:, :, category, 0])

    def ap50(self, category: int) -> float | None:
        """Return the average precision of a class at IoU 0.5."""
        return _mean(self.precision[_AT_50, :, category, 0])

    def map_of(self, size: BoxSize) -> float | None:
        """Return the mean average precision of boxes of a size."""
        return _mean(self.precision[..., SIZES.index(size) + 1])

    def ar100_of(self, size: BoxSize) -> float | None:
        """Return the average recall of boxes of a size."""
        return _mean(self.recall[..., SIZES.index(size) + 1])


def measure_coco(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    sizes: Sequence[Size],
    classes: Sequence[str],
    *,
    by_size: bool = True,
) -> CocoMetrics:
    """Measure detections with COCOeval, with at most 100 detections per image and class.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image.
        sizes: The width and height of each image.
        classes: The names of the classes.
        by_size: Whether small, medium and large boxes are also measured; without, it takes a
            quarter of the time.

    Raises:
        OptionError: pycocotools is not installed.
    """
    evaluation = _evaluated(coco_truth(truths, sizes, classes), coco_results(detections), by_size)
    parts = len(evaluation.params.areaRng) * len(truths)
    starts = [parts * category for category in range(len(classes))]
    return CocoMetrics(
        precision=evaluation.eval["precision"][..., 0],
        recall=evaluation.eval["recall"][..., 0],
        matches=tuple(
            ClassMatches.of(evaluation.evalImgs[start : start + len(truths)]) for start in starts
        ),
    )


def _evaluated(truth: dict[str, Any], results: list[dict[str, Any]], by_size: bool) -> Any:  # noqa: ANN401
    """Return a COCOeval that has run."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise OptionError(
            f"To measure boxes, run pip install 'headstart[detect]': '{error.name}' is missing."
        ) from None
    with redirect_stdout(StringIO()):
        true, found = COCO(), COCO()
        true.dataset = truth
        true.createIndex()
        found.dataset = truth | {"annotations": _loaded(results)}
        found.createIndex()
        evaluation = COCOeval(true, found, "bbox")
        evaluation.params.maxDets = [MAX_DETECTIONS]
        if by_size:
            low, high = BOUNDS.tolist()
            evaluation.params.areaRng = [[0, _LARGEST], [0, low], [low, high], [high, _LARGEST]]
        else:
            evaluation.params.areaRng = [[0, _LARGEST]]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _loaded(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return results with what COCO.loadRes adds, which refuses an empty list."""
    return [
        one | {"id": number, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0}
        for number, one in enumerate(results, start=1)
    ]


def _mean(values: Numbers) -> float | None:
    """Return the mean of the values that are defined, as COCOeval does; None without any."""
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else None
