"""The images of a training: training and held-out images, and their order."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from headstart.arrays import Rows, Targets
from headstart.task import Task
from headstart.threads import map_in_order
from headstart.tuning.boundary.rows import RowSource
from headstart.tuning.training.workers import Workers

_AHEAD = 2


@dataclass(frozen=True)
class Examples:
    """Training and held-out images.

    Attributes:
        source: Source of the network's input rows.
        task: The kind of label.
        targets: Targets of all images.
        classes: Number of classes.
        train: Indices of the training images.
        held_out: Indices of the held-out images; may be empty.
        names: Name of each image, as the user passed it.
        views: Number of views per image in training; each epoch uses one of them.
        measured_views: Number of views over which scores of held-out images are averaged.
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
        """Return the encoded targets of some images, (images, classes)."""
        return self.task.encode(self.targets[images], self.classes)


class Batches:
    """The batches of each epoch, in an order that depends only on the epoch and the seed.

    Each worker reads its share of every batch.

    Attributes:
        steps: Number of batches per epoch.
        wait_seconds: Time that training spent waiting for rows.
    """

    def __init__(self, examples: Examples, size: int, seed: int, workers: Workers) -> None:
        self._examples, self._size, self._seed, self._workers = examples, size, seed, workers
        self.steps = max(1, -(-len(examples.train) // size))
        self.wait_seconds = 0.0

    def of_epoch(self, epoch: int, position: int) -> Iterator[tuple[Rows, Tensor]]:
        """Yield batches and the rows of a share from a position on, reading ahead."""
        batches = self._order(epoch)[position:]
        source, views = self._examples.source, self._examples.views

        def read(batch: Rows) -> Tensor:  # Mixes views in every epoch.
            share = self._workers.share(batch)
            return source.rows(share, (share + epoch) % views)

        if not source.background:
            yield from ((batch, read(batch)) for batch in batches)
            return
        with ThreadPoolExecutor(1) as pool:
            rows = map_in_order(pool, read, batches, ahead=_AHEAD)
            for batch in batches:
                begin = time.perf_counter()
                ready = next(rows)
                self.wait_seconds += time.perf_counter() - begin
                yield batch, ready

    def _order(self, epoch: int) -> list[Rows]:
        order = np.random.default_rng([self._seed, epoch]).permutation(self._examples.train)
        batches = [order[start : start + self._size] for start in range(0, len(order), self._size)]
        if len(batches) > 1 and len(batches[-1]) == 1:  # Batch norm needs two images.
            batches[-1] = np.concatenate([batches[-1], order[:1]])
        return batches
