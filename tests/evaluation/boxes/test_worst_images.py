"""The images with the most errors."""

import numpy as np

from headstart.evaluation.boxes.worst_images import worst_images
from tests.evaluation.boxes.scenes import boxes, found


def test_images_are_ordered_by_false_alarms_and_misses_at_the_thresholds() -> None:
    """Of equal ones, the first comes first; what is below the threshold is not an error."""
    one = (0, 0, 10, 10, 0)
    truths = [boxes(one), boxes(one), boxes(one), boxes()]
    detections = [
        found((*one, 0.9)),
        found((*one, 0.4)),
        found((50, 0, 60, 10, 0, 0.9), (*one, 0.4)),
        found(*[(50, 0, 60, 10, 0, 0.4)] * 9),
    ]
    assert worst_images(truths, detections, np.array([0.5]), limit=3) == [2, 1, 0]
    assert worst_images(truths, detections, np.array([0.3]), limit=9) == [3, 2, 0, 1]
