"""Images for the training of a detector: rows from the store, and their true boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Rows
from headstart.boxes import Boxes
from headstart.detection.views import DetectionViews
from headstart.heads.boxes.assignment import TrueBoxes
from headstart.heads.boxes.losses import stack_truth
from headstart.tuning.boundary.rows import RowSource


@dataclass(frozen=True)
class DetectionExamples:
    """Images with their boxes and the maps of their views.

    Attributes:
        source: Source of the maps of each view, as rows.
        plan: The views.
        boxes: The true boxes of each image.
    """

    source: RowSource
    plan: DetectionViews
    boxes: Sequence[Boxes]

    def __len__(self) -> int:
        return len(self.boxes)

    def truth(self, images: Rows, views: Rows) -> TrueBoxes:
        """Return the true boxes in a view of each image."""
        corners, classes = [], []
        for image, view in zip(images.tolist(), views.tolist(), strict=True):
            boxes = self.boxes[image]
            placed, visible = self.plan.truth(image, view, boxes.corners)
            kept = visible & ~boxes.crowd
            corners.append(torch.from_numpy(placed[kept]))
            classes.append(torch.from_numpy(boxes.classes[kept]))
        return stack_truth(corners, classes)

    def batches(self, epoch: int, size: int, seed: int) -> Iterator[tuple[Tensor, TrueBoxes]]:
        """Yield rows and boxes, in an order and of views that depend on epoch and seed only."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        views = rng.integers(0, self.plan.views, len(order))
        for part in np.array_split(np.arange(len(order)), self.steps(size)):
            images, chosen = order[part], views[part]
            yield self.source.rows(images, chosen), self.truth(images, chosen)

    def steps(self, size: int) -> int:
        """Return the number of batches of an epoch."""
        return max(1, -(-len(self) // size))
