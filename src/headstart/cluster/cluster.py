"""A cluster, and the steps that it can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import ray

from headstart.choosing.candidates import Candidate
from headstart.cluster.checking import CheckingStep
from headstart.cluster.extraction import ExtractionStep, for_workers
from headstart.cluster.mapping import WorkerSize, divided, in_order, map_parts
from headstart.cluster.nodes import SHARE_CACHE, check_visible, cores_of_nodes, node_names
from headstart.data.checks import Checked
from headstart.data.images import ImageSet
from headstart.data.manifest import Entry
from headstart.data.paths import list_names
from headstart.errors import ClusterError, DataError
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import FeatureTable
from headstart.options import DecodeLimits, TryOptions
from headstart.watching import Progress, Warn, Watcher

if TYPE_CHECKING:
    from headstart.tuning.training.loop import Monitoring, TrainingResult
    from headstart.tuning.training.setup import Setup

Part = TypeVar("Part")
Result = TypeVar("Result")

_COMMIT_SECONDS = 5.0
"""Seconds between two commits of features; as much work is lost if this process is killed."""

_MERGE_EVERY = 4096
"""Fragments after which they are merged, about a million images: each commit lists them all."""


class Cluster:
    """A connected cluster; see `joining.joined`.

    Args:
        watcher: Receives a warning when nodes die.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._nodes = node_names()

    @property
    def summary(self) -> str:
        """What it consists of, as a sentence."""
        nodes, found = len(self._nodes), _resources()
        counted = [
            f"{count:,} {name if count == 1 else name + 's'}"
            for name, count in (("node", nodes), ("core", found["CPU"]), ("GPU", found["GPU"]))
            if count
        ]
        return f"Cluster: {', '.join(counted)}."

    def check_files(self, entries: Sequence[Entry], limits: DecodeLimits) -> Iterator[Checked]:
        """Read and decode files, in order; see `data.checks.check_files`.

        Raises:
            DataError: A node does not see the files.
        """
        if not entries:
            return
        check_visible(entries[0].path)
        parts = enumerate(divided(entries))
        for checked in in_order(self.map(partial(CheckingStep, limits), parts)):
            yield from checked

    def map(
        self,
        make: Callable[[], Callable[[Part], Result]],
        parts: Iterable[Part],
        device: str = "cpu",
    ) -> Iterator[Result]:
        """Yield the result of a step for each part, as they are done; see `mapping.map_parts`.

        Args:
            make: Makes the step, once in each worker.
            parts: The work.
            device: Where its network runs: "cpu" or "cuda".
        """
        yield from map_parts(make, parts, worker_size(device))
        if gone := self._gone():
            self._watcher.warn(
                f"{gone} went away. What was done there and not yet stored was done again "
                "elsewhere."
            )

    def train(self, setup: Setup, monitoring: Monitoring) -> TrainingResult:
        """Run a training in a worker per GPU or node; see `training.run`.

        Raises:
            ClusterError: A node does not see the cache, or workers died too often.
        """
        from headstart.cluster.training import run  # Slow, and only for this.

        try:
            check_visible(setup.examples.source.file, SHARE_CACHE)
            if setup.checkpoints:
                check_visible(str(setup.checkpoints.folder.parent), SHARE_CACHE)
        except DataError as error:  # Fine-tuning would take it for too few images.
            raise ClusterError(str(error)) from None

        def restarted(workers: int) -> None:
            gone = self._gone()
            why = f"{gone} went away" if gone else "A worker ended, or a node joined the cluster"
            self._watcher.warn(
                f"{why}. Fine-tuning went on from its newest checkpoint with {workers} "
                f"worker{'s' if workers > 1 else ''}."
            )

        return run(setup, monitoring, _training_size(setup), restarted)

    def _gone(self) -> str:
        """Return the nodes that are no longer there since this was last asked; "" if all are."""
        now = node_names()
        gone, self._nodes = sorted(self._nodes - now), now
        return f"{'Node' if len(gone) == 1 else 'Nodes'} {list_names(gone)}" if gone else ""

    def shortlist(
        self, candidates: Sequence[Candidate], train: ImageSet, options: TryOptions
    ) -> Sequence[Candidate]:
        """Return all candidates or, with `--search`, the best of a search."""
        if not options.search:
            return candidates
        from headstart.cluster.searching import search  # Slow, and only for this.

        size = worker_size(options.device)
        return search(candidates, options.search, train, options, self._watcher, size)

    def serve(
        self, make: Callable[[], object], *, host: str, port: int, replicas: int, device: str
    ) -> None:
        """Serve an application; see `serving.deploy`."""
        from headstart.cluster.serving import deploy  # Slow, and only for this.

        deploy(make, host=host, port=port, replicas=replicas, gpu=device == "cuda")

    def extract(
        self,
        extractor: FeatureExtractor,
        files: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> None:
        """Compute the features of files that are not in the store.

        They are those of one process, to the bit, if it has the same engine and processor.

        Args:
            extractor: Computes the features. Its cache is a folder that all nodes share.
            files: Path and sha256 of each image.
            progress: Called after each part.
            warn: Called with a sentence if the store was damaged.

        Raises:
            DataError: A node does not see the files or the cache, or a file has changed.
            StoreError: The store cannot be read or written.
        """

        def extract_missing(missing: dict[str, str], table: FeatureTable) -> None:
            check_visible(next(iter(missing.values())))
            table.create()
            check_visible(str(table.path), SHARE_CACHE)
            pending, done, committed = list[str](), 0, time.monotonic()
            unmerged = 0
            make = partial(ExtractionStep, for_workers(extractor), table)
            parts = map(dict, divided(list(missing.items())))
            for written in self.map(make, parts, extractor.device):
                pending += written.fragments
                done += written.images
                if time.monotonic() - committed > _COMMIT_SECONDS:
                    table.commit(pending)
                    unmerged += len(pending)
                    pending, committed = [], time.monotonic()
                if unmerged >= _MERGE_EVERY:
                    table.compact()
                    unmerged = 0
                if progress:
                    progress(done, len(missing))
            table.commit(pending)
            table.compact()

        extractor.store_files(files, extract_missing, warn=warn)


def worker_size(device: str) -> WorkerSize:
    """Return the size of workers that run a network: one per GPU, or one per core."""
    found = _resources()
    cpus, gpus = found["CPU"], found["GPU"]
    if device == "cuda" and gpus:
        return WorkerSize(max(1, cpus // gpus), 1, gpus)
    return WorkerSize(1, 0, cpus)


def _training_size(setup: Setup) -> WorkerSize:
    """Return the size of workers for a training: one per GPU or node, but none without images.

    If batch norms learn the statistics of each batch, one worker has to see all of it.
    """
    most = 1 if setup.recipe.statistics else max(1, setup.recipe.batch_size // 2)
    if setup.setting.device == "cuda":
        size = worker_size("cuda")
        return replace(size, workers=min(size.workers, most))
    found = [count for count in cores_of_nodes() if count]
    return WorkerSize(min(found), 0, min(len(found), most))


def _resources() -> dict[str, int]:
    found = cast(dict[str, float], ray.cluster_resources())  # type: ignore[no-untyped-call]
    return {"CPU": int(found.get("CPU", 1)), "GPU": int(found.get("GPU", 0))}
