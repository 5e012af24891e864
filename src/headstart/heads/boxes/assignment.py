"""Which points are trained to predict which box: task-aligned assignment.

Feng et al. (2021), "TOOD: Task-aligned One-stage Object Detection", with the exponents of
Ultralytics' YOLOv8 as documented: a point suits a box the better, the higher its score for the
box's class and the more its predicted box overlaps it. The best points of each box are trained
to predict it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from headstart.heads.boxes.points import Points

_POINTS_PER_BOX = 10
_SCORE_POWER, _OVERLAP_POWER = 0.5, 6.0
_TINY = 1e-9
# The sixth power of the overlap with a small box may be far smaller than the above.
_SMALLEST_FIT = 1e-30


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """The true boxes of a batch of images.

    Attributes:
        corners: In pixels of the input, (batch, boxes, 4); zeros where an image has fewer.
        classes: Class numbers, (batch, boxes).
        present: Whether there is such a box, (batch, boxes).
    """

    corners: Tensor
    classes: Tensor
    present: Tensor


@dataclass(frozen=True, eq=False)
class Assignment:
    """What each point is trained to predict.

    Attributes:
        taken: Whether a point predicts a box, (batch, points).
        box: The number of that box within its image, (batch, points).
        quality: The score that the point is trained to have, 0 to 1, (batch, points).
    """

    taken: Tensor
    box: Tensor
    quality: Tensor


@torch.no_grad()
def assign(points: Points, corners: Tensor, scores: Tensor, truth: TrueBoxes) -> Assignment:
    """Assign each true box to the points that suit it best.

    Args:
        points: The points of the pyramid.
        corners: Predicted boxes, (batch, points, 4).
        scores: Predicted probabilities, (batch, points, classes).
        truth: The true boxes.
    """
    overlap = _overlaps(truth.corners, corners)
    classes = truth.classes[:, None, :].expand(-1, len(points), -1)
    score = scores.gather(2, classes).transpose(1, 2)
    allowed = _inside(points, truth)
    fit = score**_SCORE_POWER * overlap**_OVERLAP_POWER * allowed
    chosen = _best(fit, allowed, overlap)
    fit, overlap = fit * chosen, overlap * chosen
    # The best point of a box gets its overlap as the score, the others less in proportion.
    best = fit.amax(dim=2, keepdim=True) + _SMALLEST_FIT
    quality = fit / best * overlap.amax(dim=2, keepdim=True)
    return Assignment(chosen.any(dim=1), chosen.float().argmax(dim=1), quality.amax(dim=1))


def _best(fit: Tensor, allowed: Tensor, overlap: Tensor) -> Tensor:
    """Return the points of each box, (batch, boxes, points); a point has one box at most."""
    best = fit.topk(min(_POINTS_PER_BOX, fit.shape[2]), dim=2).indices
    chosen = torch.zeros_like(allowed).scatter_(2, best, value=True) & allowed
    contested = chosen.sum(dim=1) > 1
    if contested.any():
        most = torch.where(chosen, overlap, -1.0).argmax(dim=1)
        own = one_hot(most, fit.shape[1]).bool().transpose(1, 2)
        chosen = torch.where(contested[:, None], chosen & own, chosen)
    return chosen


def _inside(points: Points, truth: TrueBoxes) -> Tensor:
    """Return which points are in which box, (batch, boxes, points); of a tiny box, the nearest."""
    centres, corners = points.centres, truth.corners[:, :, None]
    present = truth.present[:, :, None]
    inside = ((centres > corners[..., :2]) & (centres < corners[..., 2:])).all(dim=-1) & present
    empty = ~inside.any(dim=-1, keepdim=True) & present
    if empty.any():
        middle = (corners[..., :2] + corners[..., 2:]) / 2
        # Of points at the same distance, that of the finest level is taken.
        distance = (middle - centres).norm(dim=-1) + points.steps[:, 0] / 100
        inside |= one_hot(distance.argmin(dim=-1), len(points)).bool() & empty
    return inside


def _overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of boxes, (batch, first, second).

    torchvision's `box_iou` takes one image at a time.
    """
    low = torch.maximum(first[:, :, None, :2], second[:, None, :, :2])
    high = torch.minimum(first[:, :, None, 2:], second[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(corners[..., 2:] - corners[..., :2]).prod(dim=-1) for corners in (first, second)]
    return shared / (areas[0][:, :, None] + areas[1][:, None, :] - shared + _TINY)
