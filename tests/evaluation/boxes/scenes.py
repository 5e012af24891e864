"""Made-up images with boxes, and detections that are partly wrong."""

import numpy as np

from headstart.boxes import Boxes, Detections

CLASSES = ("cat", "dog", "bird")

Scenes = tuple[list[Boxes], list[Detections], list[tuple[int, int]]]


def make_scenes(images: int, *, seed: int = 0, classes: int = 3, crowds: bool = True) -> Scenes:
    """Return true boxes, detections and sizes of images; some images have none of either."""
    draw = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(images):
        count = int(draw.integers(0, 7))
        start = draw.uniform(0, 300, (count, 2))
        corners = np.hstack([start, start + np.exp(draw.uniform(2.5, 5.5, (count, 2)))])
        labels = draw.integers(0, classes, count)
        crowd = draw.random(count) < (0.15 if crowds else 0)
        truths.append(Boxes(corners.astype(np.float32), labels, crowd))
        detections.append(_detections(draw, corners, labels, classes))
    return truths, detections, [(640, 480)] * images


def _detections(draw, corners, labels, classes) -> Detections:
    """Move, repeat, mislabel and add boxes."""
    copies = draw.integers(0, 3, len(corners))
    moved = np.repeat(corners, copies, axis=0)
    sides = np.tile(moved[:, 2:] - moved[:, :2], 2)
    moved = moved + sides * draw.normal(0, 0.08, moved.shape)
    named = np.repeat(labels, copies)
    named = np.where(draw.random(len(named)) < 0.15, draw.integers(0, classes, len(named)), named)
    start = draw.uniform(0, 400, (int(draw.integers(0, 5)), 2))
    more = np.hstack([start, start + draw.uniform(5, 150, start.shape)])
    boxes = np.vstack([moved, more]).astype(np.float32)
    named = np.concatenate([named, draw.integers(0, classes, len(more))])
    scores = draw.random(len(boxes)) ** np.where(np.arange(len(boxes)) < len(moved), 0.5, 2)
    order = np.argsort(-scores)
    return Detections(boxes[order], named[order].astype(np.int64), scores[order])


def boxes(*rows: tuple[float, ...], crowd: bool = False) -> Boxes:
    """Return true boxes from rows of x1, y1, x2, y2, class."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), np.full(len(table), crowd))


def found(*rows: tuple[float, ...]) -> Detections:
    """Return detections from rows of x1, y1, x2, y2, class, score, the most probable first."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        table[:, :4].astype(np.float32), table[:, 4].astype(np.int64), table[:, 5].copy()
    )
