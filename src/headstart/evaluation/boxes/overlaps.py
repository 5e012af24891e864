"""Overlaps of boxes."""

import numpy as np

from headstart.arrays import Corners, Numbers
from headstart.boxes import Boxes


def overlaps(corners: Corners, truth: Boxes) -> Numbers:
    """Return intersection over union of boxes with true boxes, 0 to 1, shape (boxes, true boxes).

    With a crowd, it is the share of the box that lies in the crowd, as in COCO.

    Args:
        corners: Shape (boxes, 4).
        truth: The true boxes.
    """
    own = corners.astype(np.float64)[:, np.newaxis]
    true = truth.corners.astype(np.float64)[np.newaxis]
    inner = np.minimum(own[..., 2:], true[..., 2:]) - np.maximum(own[..., :2], true[..., :2])
    intersection = np.maximum(inner, 0).prod(axis=-1)
    area = (own[..., 2:] - own[..., :2]).prod(axis=-1)
    true_area = (true[..., 2:] - true[..., :2]).prod(axis=-1)
    union = np.where(truth.crowd, area, area + true_area - intersection)
    return np.where(union > 0, intersection / np.where(union > 0, union, 1.0), 0.0)
