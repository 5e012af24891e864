"""The images with the most errors."""

from collections.abc import Sequence

from headstart.arrays import Numbers
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.matching import match_image


def worst_images(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    thresholds: Numbers,
    *,
    limit: int,
) -> list[int]:
    """Return the row numbers of the images with the most false alarms and missed boxes.

    The worst come first; images without errors fill up the list.

    Args:
        truths: The true boxes of each image.
        detections: The detections in each image.
        thresholds: The probability from which boxes of each class are predicted, (classes,).
        limit: The most images.
    """
    errors = [
        match_image(truth, each.above(thresholds)).errors
        for truth, each in zip(truths, detections, strict=True)
    ]
    return sorted(range(len(errors)), key=lambda row: -errors[row])[:limit]
