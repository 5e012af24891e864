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
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._private.services import get_ray_address_from_environment

from headstart.cluster.cluster import Cluster
from headstart.cluster.nodes import check_cores, check_nodes, versions
from headstart.cores import cores
from headstart.errors import ClusterError
from headstart.watching import Watcher

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WITHIN, _CHECKED_WITHIN = 5.0, 25.0
"""Seconds in which the head of a cluster must answer, and Ray's own check must end."""


@contextmanager
def connected(address: str, watcher: Watcher) -> Iterator[Cluster]:
    """Connect to a cluster for the duration of a block; see `joining.joined`.

    What runs on the cluster ends with the block, also after an error or Ctrl-C.
    """
    _quiet()
    try:
        _connect(address)
        check_cores()
        check_nodes(versions())
        yield Cluster(watcher)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    if address == "auto":
        address = _own_address()
    if address != "local":
        _check_answers(address)
    try:
        with _without_stderr():
            if address == "local":
                _start()
            else:
                ray.init(address, log_to_driver=False, configure_logging=False)
    except ConnectionError as error:
        raise _absent(address, f"{error}") from None
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        raise _other_versions(address, str(error)) from None


def _own_address() -> str:
    """Return the address of the cluster that this machine belongs to, or of RAY_ADDRESS."""
    try:
        return str(get_ray_address_from_environment("auto", None))
    except ConnectionError:
        raise ClusterError(
            "There is no Ray cluster at this machine. Start one: ray start --head. Or use "
            "processes of this machine: --cluster local"
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
    """Check that Ray answers at an address; Ray itself would wait much longer.

    Raises:
        ClusterError: The address is not valid, nothing answers, or something else does.
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
        said = _health_problem(address)
        # As Ray does for "local": a cluster that asks for a token gets that of this user.
        if "AuthenticationError" in said and maybe_enable_token_auth_if_token_available(
            warn_if_disabled=False
        ):
            said = _health_problem(address)
    except (OSError, OverflowError) as error:
        raise _absent(address, getattr(error, "strerror", None) or str(error)) from None
    except subprocess.TimeoutExpired:
        raise _absent(address, f"Ray does not answer within {_CHECKED_WITHIN:.0f} s") from None
    if "AuthenticationError" in said:
        raise _other_token(address)
    if "version mismatch" in said:
        raise _other_versions(address, said.strip().splitlines()[-1])
    if said:
        raise _absent(address, "what answers there is not Ray")


def _health_problem(address: str) -> str:
    """Return what is wrong with the cluster at an address, in Ray's words; "" if nothing is."""
    check = ("-m", "ray.scripts.scripts", "health-check", "--address", address)
    done = subprocess.run(
        [sys.executable, *check],
        check=False,
        capture_output=True,
        text=True,
        timeout=_CHECKED_WITHIN,
    )
    return done.stderr or "no answer" if done.returncode else ""


def _absent(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"There is no Ray cluster at '{address}': {reason}. 'ray status' on its head tells "
        "whether it runs."
    )


def _other_versions(address: str, said: str) -> ClusterError:
    return ClusterError(
        f"The cluster at '{address}' has other versions of Ray or Python than this process, "
        f"which has Ray {ray.__version__} and Python {sys.version.split()[0]}: "
        f"{' '.join(said.split())}"
    )


def _other_token(address: str) -> ClusterError:
    return ClusterError(
        f"The cluster at '{address}' asks for a token that this process does not have. Copy the "
        "file ~/.ray/auth_token from its head to the same place on this machine."
    )


def _quiet() -> None:
    """Keep Ray from logging to the terminal and from drawing its own progress bars."""
    warnings.filterwarnings("ignore", module="ray")
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "ray.serve"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # It prints what happens to nodes on stdout, which may be JSON. `Cluster.map` tells it instead.
    ray._private.worker._worker_logs_enabled = False
