"""What a detector predicts: the boxes that are left of those at all points."""

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from headstart.boxes import Detections
from headstart.data.placement import Placement
from headstart.heads.boxes.points import Points

LEAST_SCORE = 0.01
"""The lowest probability of a detection; curves of precision need those that are not shown."""

_CANDIDATES, _MOST = 1000, 100
# Boxes of one class that overlap more than this are one object.
_SAME_OBJECT = 0.6


def detections_of(outputs: Tensor, points: Points, placement: Placement) -> Detections:
    """Return the boxes in an image, at most 100, the most probable first.

    Args:
        outputs: The output of `BoxHead` for one image, (points, 4 + classes).
        points: The points of the pyramid.
        placement: Where the image is in the input.
    """
    probabilities = outputs[:, 4:].sigmoid()
    scores, places = probabilities.flatten().topk(min(_CANDIDATES, probabilities.numel()))
    likely = scores >= LEAST_SCORE
    scores, places = scores[likely], places[likely]
    classes = places % probabilities.shape[1]
    rows = torch.div(places, probabilities.shape[1], rounding_mode="floor")
    corners = points.corners(outputs[:, :4])[rows]
    kept = batched_nms(corners, scores, classes, _SAME_OBJECT)[:_MOST]
    found = Detections(
        placement.to_image(corners[kept].numpy()),
        classes[kept].numpy(),
        scores[kept].double().numpy(),
    )
    sides = found.corners[:, 2:] - found.corners[:, :2]
    return found.take(np.all(sides > 0, axis=1))  # Others are in the padding.
