"""The boxes that a detector finds in labelled images: measured, in a table, and in the report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from headstart.arrays import Anything
from headstart.boxes import Boxes, Detections
from headstart.data.boxes.findings import find_in_boxes
from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.boxes.labels import boxes_of
from headstart.data.images import ImageSet
from headstart.errors import DataError
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.evaluation.boxes.worst_images import worst_images
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import FailedPrediction
from headstart.record import BoxesEvaluation, MissingBox
from headstart.report.box_findings import describe_boxes
from headstart.report.box_pictures import MAX_CROPS, SIDE, BoxCrops, missing_crop
from headstart.report.boxes import MAX_PICTURES, BoxesPicture, boxes_part
from headstart.report.thumbnails import thumbnail
from headstart.task import ReportPart


@dataclass(frozen=True)
class FoundBoxes:
    """The detections in a set of labelled images.

    Attributes:
        truths: The true boxes of each image.
        detections: The detections in each image, with those below the thresholds.
        sizes: Width and height of each image as it is seen.
    """

    truths: list[Boxes]
    detections: list[Detections]
    sizes: list[tuple[int, int]]

    @classmethod
    def of(cls, detector: Detector, images: ImageSet) -> Self:
        """Find boxes in images.

        Raises:
            DataError: An image cannot be read any more.
        """
        labels = images.table["label"].to_pylist()
        found = cls([boxes_of(text, detector.classes) for text in labels], [], [])
        for prediction in detector.predict_each(images.paths):
            if isinstance(prediction, FailedPrediction):
                raise DataError(f"'{prediction.image}' cannot be read any more: {prediction.error}")
            found.detections.append(prediction.detections)
            found.sizes.append(prediction.size)
        return found

    def table(self, names: Sequence[str]) -> pa.Table:
        """Return a row per image: its name, the true and the detected boxes as JSON."""
        return pa.table(
            {
                "image": pa.array(names, pa.string()),
                "truth": [_as_json(boxes.corners, boxes.classes) for boxes in self.truths],
                "predicted": [
                    _as_json(found.corners, found.classes, found.scores)
                    for found in self.detections
                ],
            }
        )


def evaluate_part(
    detector: Detector, images: ImageSet
) -> tuple[BoxesEvaluation | None, FoundBoxes | None]:
    """Evaluate a detector on labelled images; None without any."""
    if not len(images):
        return None, None
    found = FoundBoxes.of(detector, images)
    evaluation = evaluate_boxes(
        *(found.truths, found.detections, found.sizes, detector.classes),
        thresholds=detector.thresholds,
        groups=images.given_groups,
    )
    return evaluation, found


def report_of(
    detector: Detector,
    images: ImageSet,
    found: FoundBoxes,
    every: ImageSet,
    evaluation: BoxesEvaluation,
    trained_on: Sequence[int],
    missing: Sequence[MissingBox] = (),
) -> ReportPart:
    """Return the part of the report that shows an evaluation.

    Args:
        detector: The detector.
        images: The evaluated images.
        found: The detections in them.
        every: All images of the data, whose boxes are described.
        evaluation: The metrics.
        trained_on: The number of training boxes of each class.
        missing: Boxes that are probably missing in the labels of the data, the most probable first.
    """
    thresholds = [result.threshold for result in evaluation.per_class]
    rows = worst_images(found.truths, found.detections, np.array(thresholds), limit=MAX_PICTURES)
    names, paths = images.names, images.paths
    pictures = [
        BoxesPicture(
            names[row],
            thumbnail(paths[row], detector.preprocess.contract, side=2 * SIDE),
            found.truths[row],
            found.detections[row],
            size=found.sizes[row],
        )
        for row in rows
    ]
    return boxes_part(
        evaluation,
        pictures,
        trained_on=trained_on,
        findings=describe_boxes(find_in_boxes(every.table)),
        missing=_crops_of(missing, every, detector),
    )


def _crops_of(missing: Sequence[MissingBox], images: ImageSet, detector: Detector) -> BoxCrops:
    """Return crops of the first boxes that are probably missing."""
    contract = detector.preprocess.contract
    rows = {name: row for row, name in enumerate(images.names)}
    paths, labels = images.paths, images.table["label"].to_pylist()
    shown = []
    for one in missing[:MAX_CROPS]:
        row = rows[one.image]
        picture = thumbnail(paths[row], contract, side=2 * SIDE)
        truth = boxes_of(labels[row], detector.classes)
        (size,) = read_sizes([paths[row]])
        seen = size.seen if size else None
        shown.append(missing_crop(one, picture, truth, detector.classes, seen))
    return BoxCrops(tuple(shown), len(missing) - len(shown))


def _as_json(*columns: Anything) -> str:
    """Return the corners, class and probability of each box as JSON."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return json.dumps([[*row[0], *row[1:]] for row in rows])
