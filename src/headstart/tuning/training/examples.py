"""The images of a training: which are trained on, in which order, and which are held out."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from headstart.arrays import Rows, Targets
from headstart.features.batches import map_in_order
from headstart.task import Task
from headstart.tuning.boundary.rows import RowSource

_AHEAD = 2


@dataclass(frozen=True)
class Examples:
    """What a training learns from, and what it is measured on.

    Attributes:
        source: Of the rows that the network reads.
        task: What is predicted.
        targets: Of all images.
        classes: How many classes there are.
        train: Numbers of the images to learn from.
        held_out: Numbers of the images held out; none if nothing is to be chosen.
        names: How the user named each image.
        views: Of each image in training, one in each epoch.
        measured_views: That scores of held-out images are averaged over.
    """

    source: RowSource
    task: Task
    targets: Targets
    classes: int
    train: Rows
    held_out: Rows
    names: Sequence[str]
    views: int = 1
    measured_views: int = 1

    def truth(self, images: Rows) -> Tensor:
        """Return what the scores of some images are compared with, (images, classes)."""
        return self.task.encode(self.targets[images], self.classes)


class Batches:
    """The batches of each epoch; the order depends on the epoch's number and the seed only.

    Attributes:
        steps: How many batches an epoch has.
        waited: Seconds in which training had to wait for rows.
    """

    def __init__(self, examples: Examples, size: int, seed: int) -> None:
        self._examples, self._size, self._seed = examples, size, seed
        self.steps = max(1, -(-len(examples.train) // size))
        self.waited = 0.0

    def of_epoch(self, epoch: int, place: int) -> Iterator[tuple[Rows, Tensor]]:
        """Yield batches and their rows from some place on, read while the last one is used."""
        batches = self._order(epoch)[place:]
        source, views = self._examples.source, self._examples.views

        def read(batch: Rows) -> Tensor:  # Every epoch has views of all kinds.
            return source.rows(batch, (batch + epoch) % views)

        if not source.background:
            yield from ((batch, read(batch)) for batch in batches)
            return
        with ThreadPoolExecutor(1) as pool:
            rows = map_in_order(pool, read, batches, ahead=_AHEAD)
            for batch in batches:
                begin = time.perf_counter()
                ready = next(rows)
                self.waited += time.perf_counter() - begin
                yield batch, ready

    def _order(self, epoch: int) -> list[Rows]:
        order = np.random.default_rng([self._seed, epoch]).permutation(self._examples.train)
        batches = [order[start : start + self._size] for start in range(0, len(order), self._size)]
        if len(batches) > 1 and len(batches[-1]) == 1:  # Batch norm needs two.
            batches[-1] = np.concatenate([batches[-1], order[:1]])
        return batches
