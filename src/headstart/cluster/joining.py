"""Join the cluster that `--cluster` names. Ray is not imported before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from headstart.errors import OptionError
from headstart.watching import Watcher

if TYPE_CHECKING:
    from headstart.cluster.cluster import Cluster


@contextmanager
def joined(address: str, watcher: Watcher) -> Iterator[Cluster]:
    """Yield a connection to a cluster, which ends with the block.

    Args:
        address: "local" for processes of this machine, "auto" for the cluster that this machine
            belongs to, or the address of the head, as HOST:PORT.
        watcher: Follows it.

    Raises:
        OptionError: The extra `cluster` is not installed.
        ClusterError: There is no cluster at the address, or its nodes run other versions.
    """
    if find_spec("ray") is None:
        raise OptionError("For --cluster, run pip install 'headstart[cluster]'.")
    with ExitStack() as stack:
        with watcher.stage("Joining the cluster"):
            from headstart.cluster.connection import connected  # Slow, and only for this option.

            cluster = stack.enter_context(connected(address, watcher))
        watcher.note(cluster.summary)
        yield cluster
