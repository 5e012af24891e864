"""Whether boxes are what non-maximum suppression may leave, where rounding decides.

Of two boxes of one object whose probabilities differ by rounding, either may be left, and of two
that overlap by just the limit, both or one. So two exact programs may give different boxes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from headstart.arrays import Corners, Flags, Numbers, Rows
from headstart.boxes import Boxes, Detections
from headstart.data.inputs import ImageInput
from headstart.evaluation.boxes.overlaps import overlaps
from headstart.exporting.metadata import CANDIDATES, MOST_BOXES, SAME_OBJECT
from headstart.predictor.detector import Detector
from headstart.predictor.placed import decode_placed

# A detector suppresses boxes of a class at an offset, which costs the small ones some digits.
_OVERLAP_ROUNDING = 0.002


@dataclass(frozen=True)
class Candidates:
    """The boxes in an image before suppression, the most probable first.

    Attributes:
        inside: Their corners in pixels of the input, (boxes, 4).
        boxes: The boxes, in pixels of the image.
    """

    inside: Corners
    boxes: Detections

    @classmethod
    def of(cls, detector: Detector, file: Path) -> "Candidates":
        """Return those that a detector finds in an image file."""
        pixels, placement = decode_placed(ImageInput.of(str(file)), detector.preprocess)
        outputs = torch.from_numpy(detector.engine.infer(np.stack([pixels]))[0])
        probabilities = outputs[:, 4:].sigmoid().numpy()
        places = np.argsort(-probabilities, axis=None, kind="stable")[:CANDIDATES]
        points, classes = np.divmod(places, probabilities.shape[1])
        inside: Corners = detector.points.corners(outputs[:, :4]).numpy()[points]
        scores = probabilities.reshape(-1)[places].astype(np.float64)
        return cls(inside, Detections(placement.to_image(inside), classes, scores))


def are_same(
    first: Detections, second: Detections, *, distance: float, difference: float
) -> tuple[Flags, Numbers]:
    """Return which boxes are the same but for rounding, and how far apart they are.

    Args:
        first: Boxes.
        second: Other boxes.
        distance: The largest distance of an edge, in pixels.
        difference: The largest difference of the probability.

    Returns:
        Flags, and the largest distance of an edge in pixels; both (first, second).
    """
    apart = np.abs(first.corners[:, np.newaxis] - second.corners).max(axis=2, initial=0)
    gaps = np.abs(first.scores[:, np.newaxis] - second.scores)
    same = first.classes[:, np.newaxis] == second.classes
    return same & (apart <= distance) & (gaps <= difference), apart.astype(np.float64)


def may_be_left(
    found: Detections,
    candidates: Candidates,
    thresholds: Numbers,
    *,
    distance: float,
    difference: float,
) -> bool:
    """Return whether suppression may leave these boxes of the candidates.

    That is so if each is a candidate that reaches its threshold, none overlaps another, and each
    candidate that is not among them overlaps one of them that is more probable: this is what
    suppression leaves, and nothing else, except where rounding decides.

    Args:
        found: The boxes that reach the thresholds.
        candidates: All boxes before suppression.
        thresholds: The least probability of each class, (classes,).
        distance: The distance of an edge that rounding explains, in pixels.
        difference: The difference of a probability that rounding explains.
    """
    boxes = candidates.boxes
    same, _ = are_same(found, boxes, distance=distance, difference=difference)
    reaches = found.scores >= thresholds[found.classes] - difference
    if not (reaches & same.any(axis=1)).all():
        return False
    gaps = np.abs(found.scores[:, np.newaxis] - boxes.scores)
    chosen = np.where(same, gaps, np.inf).argmin(axis=1)
    overlap = _overlap(candidates, chosen)
    if (np.tril(overlap[chosen], -1) > SAME_OBJECT + _OVERLAP_ROUNDING).any():
        return False
    suppresses = boxes.scores[chosen] >= boxes.scores[:, np.newaxis] - difference
    suppressed = suppresses & (overlap >= SAME_OBJECT - _OVERLAP_ROUNDING)
    shown = _must_be_shown(found, boxes, thresholds, difference)
    return not (shown & ~suppressed.any(axis=1)).any()


def _overlap(candidates: Candidates, chosen: Rows) -> Numbers:
    """Return the overlap with each of the chosen candidates of its class, (boxes, chosen)."""
    classes = candidates.boxes.classes
    others = Boxes(candidates.inside[chosen], classes[chosen], np.zeros(len(chosen), np.bool_))
    same = classes[:, np.newaxis] == classes[chosen]
    return np.where(same, overlaps(candidates.inside, others), 0.0)


def _must_be_shown(
    found: Detections, boxes: Detections, thresholds: Numbers, difference: float
) -> Flags:
    """Return which boxes are shown unless they are suppressed, (boxes,)."""
    lowest = found.scores.min() if len(found) >= MOST_BOXES else 0.0
    limits = np.maximum(thresholds[boxes.classes], lowest) + difference
    sides = boxes.corners[:, 2:] - boxes.corners[:, :2]
    shown: Flags = np.all(sides > 0, axis=1) & (boxes.scores > limits)
    return shown
