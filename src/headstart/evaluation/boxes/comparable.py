"""The metrics of a detector, by which it is compared with another one on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.average_precision import AveragePrecision
from headstart.evaluation.boxes.coco_files import Size
from headstart.evaluation.boxes.coco_metrics import measure_coco
from headstart.evaluation.boxes.matching import match_image
from headstart.evaluation.boxes.measure import affordable_resamples
from headstart.evaluation.weighted_metrics import Metric, Ratio


@dataclass(frozen=True, eq=False)
class ComparableDetector:
    """A detector on labelled images.

    Attributes:
        metrics: Its metrics of the images, by name.
        correct: Which images it predicts without an error at the thresholds, (images,).
        resamples: How many resamples of the images can be drawn in seconds.
    """

    metrics: dict[str, Metric]
    correct: Flags
    resamples: int


def measure_for_comparison(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    sizes: Sequence[Size],
    classes: Sequence[str],
    thresholds: Numbers,
) -> ComparableDetector:
    """Measure detections in labelled images.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image, with those below the thresholds.
        sizes: The width and height of each image.
        classes: The names of the classes.
        thresholds: The probability from which boxes of each class are predicted, (classes,).
    """
    matches = measure_coco(truths, detections, sizes, classes, by_size=False).matches
    counts = np.zeros((3, len(truths)))
    for row, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        image = match_image(truth, found.above(thresholds))
        counts[:, row] = image.right.sum(), image.wrong.sum(), image.missed.sum()
    right, wrong, missed = counts
    metrics: dict[str, Metric] = {
        "map": AveragePrecision(matches, len(truths)),
        "map50": AveragePrecision(matches, len(truths), at=(0,)),
        "precision": Ratio(right, right + wrong),
        "recall": Ratio(right, right + missed),
        "f1": Ratio(2 * right, 2 * right + wrong + missed),
    }
    return ComparableDetector(metrics, wrong + missed == 0, affordable_resamples(matches))
