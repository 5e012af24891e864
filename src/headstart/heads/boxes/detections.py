"""What a detector predicts: the boxes that are left of those at all points."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from headstart.arrays import Flags
from headstart.boxes import Detections
from headstart.data.placement import Placement
from headstart.heads.boxes.points import Points

LEAST_SCORE = 0.01
"""The lowest probability of a detection; curves of precision need those that are not shown."""

_CANDIDATES, _MOST = 1000, 100
# Boxes of one class that overlap more than this are one object.
_SAME_OBJECT = 0.6

_MOST_IN_TILES = 1000
# A box that ends so near an edge of its tile, in pixels of the input, is the visible part of one.
_AT_EDGE = 2.0
# A visible part of which more than this is in a box of its class is a part of that box.
_PART_OF_OBJECT = 0.5
_AT_A_TIME = 1000


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


def merge_tiles(found: Sequence[Detections], placements: Sequence[Placement]) -> Detections:
    """Return the boxes in an image from those in its tiles, at most 1,000.

    An object that two tiles show is found in both. Whole boxes are merged by non-maximum
    suppression; a box that ends at an edge of its tile is left out if most of it is in a whole one.

    Args:
        found: The detections in each tile, in pixels of the image.
        placements: Where each tile is.
    """
    if len(found) == 1:
        return found[0]
    cut = np.concatenate(
        [
            placement.is_cut(part.corners, _AT_EDGE)
            for part, placement in zip(found, placements, strict=True)
        ]
    )
    every = Detections.joined(found)
    whole = _suppress(every.take(~cut))
    parts = every.take(cut)
    parts = _suppress(parts.take(~_are_parts(parts, whole)))
    merged = Detections.joined([whole, parts])
    order = np.argsort(-merged.scores, kind="stable")[:_MOST_IN_TILES]
    return merged.take(order)


def _suppress(found: Detections) -> Detections:
    corners, scores = torch.from_numpy(found.corners), torch.from_numpy(found.scores).float()
    kept = batched_nms(corners, scores, torch.from_numpy(found.classes), _SAME_OBJECT)
    return found.take(kept.numpy())


def _are_parts(parts: Detections, whole: Detections) -> Flags:
    """Return which boxes are mostly within a whole box of their class."""
    flags = np.zeros(len(parts), np.bool_)
    for begin in range(0, len(parts), _AT_A_TIME):
        rows = slice(begin, begin + _AT_A_TIME)
        corners = parts.corners[rows, None]
        low = np.maximum(corners[..., :2], whole.corners[:, :2])
        high = np.minimum(corners[..., 2:], whole.corners[:, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=2)
        area = (corners[..., 2:] - corners[..., :2]).prod(axis=2)
        same = parts.classes[rows, None] == whole.classes
        flags[rows] = (same & (shared > _PART_OF_OBJECT * area)).any(axis=1)
    return flags
