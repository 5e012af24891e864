"""Connect to a Ray cluster, or start one in processes of this machine."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Ray reads these when it is imported. The first switches off its telemetry.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Otherwise a thread of Ray Data that ends late starts another cluster.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray

from headstart.cluster.cluster import Cluster
from headstart.cluster.nodes import check_nodes, versions
from headstart.cores import cores
from headstart.errors import ClusterError
from headstart.watching import Watcher

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WITHIN = 10.0
"""Seconds in which the head of a cluster must answer."""


@contextmanager
def connected(address: str, watcher: Watcher) -> Iterator[Cluster]:
    """Connect to a cluster for the duration of a block; see `joining.joined`.

    What runs on the cluster ends with the block, also after an error or Ctrl-C.
    """
    _quiet()
    try:
        _connect(address)
        check_nodes(versions())
        yield Cluster(watcher)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    if address not in ("local", "auto"):
        _check_answers(address)
    try:
        with _without_stderr():
            if address == "local":
                _start()
            else:
                ray.init(address, log_to_driver=False, configure_logging=False)
    except ConnectionError:
        where = "this machine" if address == "auto" else f"'{address}'"
        raise ClusterError(
            f"There is no Ray cluster at {where}. Start one: ray start --head. Or use processes of "
            "this machine: --cluster local"
        ) from None
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        raise ClusterError(
            f"The cluster at '{address}' has other versions of Ray or Python than this process, "
            f"which has Ray {ray.__version__} and Python {sys.version.split()[0]}: "
            f"{' '.join(str(error).split())}"
        ) from None


def _start() -> None:
    # Anyone who can reach Ray's ports can run code on this machine, so it must listen on the
    # loopback interface only: its processes read the variable, and this one the constant, which
    # was set when Ray was imported.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        "local",
        num_cpus=cores(),
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address="127.0.0.1",
    )


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Hide what Ray's C++ code writes to the terminal; what fails is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_answers(address: str) -> None:
    """Check that something listens at an address; Ray itself would wait much longer.

    Raises:
        ClusterError: The address is not valid, or nothing answers.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address.startswith("ray://"):
        raise ClusterError(
            f"--cluster {address} is the address of a Ray Client, which cannot be used. Run this "
            "command on a machine of the cluster, or submit it: ray job submit -- headstart …"
        )
    if not colon or not port.isdigit():
        raise ClusterError(
            f"--cluster must be local, auto or HOST:PORT, such as 10.0.0.1:6379. Got '{address}'."
        )
    if host in _LOOPBACK:
        host = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_WITHIN):
            pass
        subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address],
            check=True,
            capture_output=True,
            timeout=_WITHIN,
        )
    except (OSError, OverflowError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or "what answers there is not Ray"
        raise ClusterError(
            f"There is no Ray cluster at '{address}': {reason}. 'ray status' on its head tells "
            "whether it runs."
        ) from None


def _quiet() -> None:
    """Keep Ray from logging to the terminal and from drawing its own progress bars."""
    warnings.filterwarnings("ignore", module="ray")
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "ray.serve"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # It prints what happens to nodes on stdout, which may be JSON. `Cluster.map` tells it instead.
    ray._private.worker._worker_logs_enabled = False
