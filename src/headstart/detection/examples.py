"""Examples for the training of a detector: rows from the store, and their true boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

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
    """Images, or their tiles, with the maps of their views and their boxes.

    Attributes:
        source: Source of the maps of each view, as rows.
        plan: The views.
        boxes: The true boxes of each image of the plan.
        images: The numbers of the images of the plan whose tiles are the examples.
    """

    source: RowSource
    plan: DetectionViews
    boxes: Sequence[Boxes]
    images: Rows

    @classmethod
    def of(cls, source: RowSource, plan: DetectionViews, boxes: Sequence[Boxes]) -> Self:
        """Return all images of a plan as examples."""
        return cls(source, plan, boxes, np.arange(len(boxes)))

    def take(self, rows: Rows) -> Self:
        """Return the examples in the images with the given numbers."""
        return replace(self, images=self.images[rows])

    @property
    def true_boxes(self) -> list[Boxes]:
        """The true boxes of each image."""
        return [self.boxes[image] for image in self.images]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image."""
        return [self.plan.sizes[image] for image in self.images]

    @property
    def hashes(self) -> list[str]:
        """The sha256 of each image."""
        return [self.plan.images[image][1] for image in self.images]

    @cached_property
    def tiles(self) -> Rows:
        """The numbers of the tiles of the images, in ascending order."""
        return np.flatnonzero(np.isin(self.plan.image_of, self.images))

    def __len__(self) -> int:
        return len(self.tiles)

    def truth(self, tiles: Rows, views: Rows) -> TrueBoxes:
        """Return the true boxes in a view of each tile."""
        corners, classes = [], []
        for tile, view in zip(tiles.tolist(), views.tolist(), strict=True):
            boxes = self.boxes[self.plan.image_of[tile]]
            placed, visible = self.plan.truth(tile, view, boxes.corners)
            kept = visible & ~boxes.crowd
            corners.append(torch.from_numpy(placed[kept]))
            classes.append(torch.from_numpy(boxes.classes[kept]))
        return stack_truth(corners, classes)

    def batches(self, epoch: int, size: int, seed: int) -> Iterator[tuple[Tensor, TrueBoxes]]:
        """Yield rows and boxes, in an order and of views that depend on epoch and seed only."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(self.tiles)
        if len(order) == 1:
            order = order.repeat(2)
        views = rng.integers(0, self.plan.views, len(order))
        for part in np.array_split(np.arange(len(order)), self.steps(size)):
            tiles, chosen = order[part], views[part]
            yield self.source.rows(tiles, chosen), self.truth(tiles, chosen)

    def steps(self, size: int) -> int:
        """Return the number of batches of an epoch, each of two examples or more, for norms."""
        return max(1, min(-(-len(self) // size), len(self) // 2))
