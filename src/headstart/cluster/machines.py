"""Where the steps run: on this machine, or on the cluster that `--cluster` names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from headstart.cluster.joining import joined
from headstart.data.checks import Checked, check_files
from headstart.data.images import ImageSet
from headstart.data.manifest import Entry
from headstart.features.extractor import FeatureExtractor
from headstart.options import DecodeLimits, TryOptions
from headstart.watching import Progress, Warn, Watcher

if TYPE_CHECKING:
    from headstart.choosing.candidates import Candidate
    from headstart.tuning.training.loop import Monitoring, TrainingResult
    from headstart.tuning.training.setup import Setup


class Machines(Protocol):
    """What runs the steps; see `ThisMachine` and `cluster.Cluster`."""

    def check_files(self, entries: Sequence[Entry], limits: DecodeLimits) -> Iterable[Checked]:
        """Read and decode files, in order."""
        ...

    def shortlist(
        self, candidates: Sequence[Candidate], train: ImageSet, options: TryOptions
    ) -> Sequence[Candidate]:
        """Return the candidates to measure on all images of the training part."""
        ...

    def extract(
        self,
        extractor: FeatureExtractor,
        files: Sequence[tuple[str, str]],
        /,
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> None:
        """Compute the features of files, passed as (path, sha256), that are not in the store."""
        ...

    def train(self, setup: Setup, monitoring: Monitoring) -> TrainingResult:
        """Run a training, after which the network of its setup has the trained weights."""
        ...


class ThisMachine:
    """This process."""

    check_files = staticmethod(check_files)
    extract = staticmethod(FeatureExtractor.extract)

    def shortlist(
        self, candidates: Sequence[Candidate], train: ImageSet, options: TryOptions
    ) -> Sequence[Candidate]:
        """Return all candidates: a search needs a cluster."""
        return candidates

    def train(self, setup: Setup, monitoring: Monitoring) -> TrainingResult:
        """See `Machines`."""
        from headstart.tuning.training.loop import train_here  # It needs PyTorch.

        return train_here(setup, monitoring)


THIS_MACHINE = ThisMachine()


@contextmanager
def machines_at(address: str | None, watcher: Watcher) -> Iterator[Machines]:
    """Yield a connection to a cluster, or this machine if no address is given; see `joined`."""
    if address is None:
        yield THIS_MACHINE
        return
    with joined(address, watcher) as cluster:
        yield cluster
