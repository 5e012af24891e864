"""Detectors compared on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Numbers
from headstart.commands.found_boxes import FoundBoxes
from headstart.commands.pairing import Measured, dependent_groups
from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.evaluation.boxes.comparable import measure_for_comparison
from headstart.evaluation.paired import compare_metrics
from headstart.predictor.detector import Detector
from headstart.record.comparison import MetricDifference
from headstart.report.box_thumbnails import BoxThumbnails
from headstart.tasks.grouping import group_numbers
from headstart.watching import Watcher


@dataclass(frozen=True, eq=False)
class FoundBy:
    """What a detector finds in the images, of the classes that are compared.

    At most 100 boxes per image are found, of all its classes.

    Attributes:
        boxes: The true and the detected boxes.
        thresholds: The probability from which boxes of each class are predicted, (classes,).
    """

    boxes: FoundBoxes
    thresholds: Numbers

    @classmethod
    def of(cls, detector: Detector, images: ImageSet) -> "FoundBy":
        """Find boxes of the images' classes.

        Raises:
            DataError: An image cannot be read any more.
        """
        columns = [detector.classes.index(name) for name in images.classes]
        numbers = np.full(len(detector.classes), -1)
        numbers[columns] = np.arange(len(columns))
        found = FoundBoxes.of(detector, images)
        boxes = FoundBoxes(
            [each.renumbered(numbers) for each in found.truths],
            [each.renumbered(numbers) for each in found.detections],
            found.sizes,
        )
        return cls(boxes, np.array(detector.thresholds.values)[columns])


def find_with_each(
    detectors: Mapping[str, Detector], images: ImageSet, watcher: Watcher
) -> dict[str, FoundBy]:
    """Return what each detector finds in the images, by its name.

    Args:
        detectors: The detectors, by name.
        images: The images, with the classes that all detectors have.
        watcher: Follows the stages.
    """
    found = {}
    for name, detector in detectors.items():
        with watcher.stage(f"Predicting with {name}"):
            found[name] = FoundBy.of(detector, images)
    return found


def measure_detectors(found: Mapping[str, FoundBy], images: ImageSet) -> Measured:
    """Measure what each detector has found; an image is correct if it has no error."""
    groups = group_numbers(dependent_groups(images))
    measured = {
        name: measure_for_comparison(
            *(one.boxes.truths, one.boxes.detections, one.boxes.sizes),
            images.classes,
            one.thresholds,
        )
        for name, one in found.items()
    }

    def differences(first: str, second: str) -> tuple[MetricDifference, ...]:
        one, other = measured[first], measured[second]
        resamples = min(one.resamples, other.resamples)
        return compare_metrics(one.metrics, other.metrics, groups, resamples=resamples)

    return Measured({name: one.correct for name, one in measured.items()}, differences)


def error_pictures(
    found: Mapping[str, FoundBy], images: ImageSet, contract: PixelContract
) -> dict[str, BoxThumbnails]:
    """Return pictures of the images with the boxes of each detector, by its name."""
    return {
        name: BoxThumbnails(
            dict(zip(images.names, images.paths, strict=True)),
            contract,
            dict(zip(images.names, one.boxes.truths, strict=True)),
            {
                image: each.above(one.thresholds)
                for image, each in zip(images.names, one.boxes.detections, strict=True)
            },
            dict(zip(images.names, one.boxes.sizes, strict=True)),
        )
        for name, one in found.items()
    }
