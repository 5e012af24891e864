"""What joining a cluster says if it is not possible."""

import functools
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from headstart.cluster import connection
from headstart.cluster.joining import joined
from headstart.cluster.nodes import versions
from headstart.errors import ClusterError, OptionError
from headstart.watching import SilentWatcher

pytestmark = pytest.mark.filterwarnings("ignore")


def join(address: str) -> None:
    """Join a cluster, and leave it."""
    with joined(address, SilentWatcher()):
        pass


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is named."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("headstart.cluster.joining.find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"pip install 'headstart\[cluster\]'"):
        join("local")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "There is no Ray cluster at '127.0.0.1:9': Connection refused"),
        ("10.0.0.1", r"must be local, auto or HOST:PORT, such as 10.0.0.1:6379. Got '10.0.0.1'"),
        ("head:seventy", "must be local, auto or HOST:PORT"),
        ("127.0.0.1:70000", "There is no Ray cluster at '127.0.0.1:70000'"),
        ("ray://127.0.0.1:10001", "is the address of a Ray Client"),
        ("no-such-host.invalid:6379", "There is no Ray cluster at 'no-such-host.invalid:6379'"),
    ],
)
def test_addresses_without_a_cluster(address: str, message: str) -> None:
    """The error comes at once, and says what to do."""
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=message):
        join(address)
    assert time.monotonic() - begin < 30


@contextmanager
def listening() -> Iterator[int]:
    """Yield the port of a server that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=lambda: [server.accept() for _ in range(9)], daemon=True).start()
        yield server.getsockname()[1]


def test_something_else_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(connection, "_CHECKED_WITHIN", 3.0)
    with listening() as port, pytest.raises(ClusterError, match="Ray does not answer within 3 s"):
        join(f"127.0.0.1:{port}")


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Auto needs one, and starts none."""
    # Other tests' clusters may run on it.
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", functools.cache(set))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=r"no Ray cluster at this machine\. Start one"):
        join("auto")


def test_the_address_of_a_cluster_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto names it at once, where Ray would wait for more than a minute."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"no Ray cluster at '127\.0\.0\.1:9': Connection ref"):
        join("auto")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "ray.exceptions.AuthenticationError: RPC error",
            r"asks for a token .* ~/\.ray/auth_token",
        ),
        (
            "RuntimeError: Ray version mismatch: cluster has Ray version 2.1",
            "has other versions of Ray or Python than this process, .* cluster has Ray version 2.1",
        ),
        ("Traceback", "what answers there is not Ray"),
    ],
)
def test_what_the_check_of_ray_says(
    said: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another token and another version are named as such."""
    monkeypatch.setattr(connection, "_health_problem", lambda _: said)
    # It would stay enabled in this process.
    monkeypatch.setattr(connection, "maybe_enable_token_auth_if_token_available", lambda **_: True)
    with listening() as port, pytest.raises(ClusterError, match=message):
        join(f"127.0.0.1:{port}")


def test_a_cluster_without_cores(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, as its work would wait forever."""
    monkeypatch.setattr("headstart.cluster.nodes.cores_of_nodes", lambda: [0])
    with pytest.raises(ClusterError, match="No node of the cluster has cores for work"):
        join(address)


def test_a_node_with_other_versions(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with both versions."""
    own = versions()
    monkeypatch.setattr(connection, "versions", lambda: ("9.9", own[1]))
    with pytest.raises(
        ClusterError, match=rf"Node 127\.0\.0\.\d has Headstart {own[0]} on Python .* 9\.9 on"
    ):
        join(address)


_SOCKETS = """
import os, psutil
from contextlib import suppress
import ray
from headstart.cluster.joining import joined
from headstart.watching import SilentWatcher
with joined("local", SilentWatcher()) as cluster:
    list(cluster.map(lambda: lambda part: part, range(2)))
    me, found = psutil.Process(), []
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # It has ended meanwhile.
            found += process.net_connections("inet")
    ends = [end for one in found for end in (one.laddr, one.raddr) if end]
    places = {end.ip.removeprefix('::ffff:') for end in ends}
    print(os.environ["RAY_USAGE_STATS_ENABLED"], len(found) > 9, sorted(places))
"""


def test_a_local_cluster_is_reached_from_this_machine_only() -> None:
    """All of its sockets are on the loopback interface, and nothing is reported to anyone.

    Ray may have been imported before.
    """
    environment = dict(os.environ)
    environment.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")  # The conftest sets it for this process.
    found = subprocess.run(
        [sys.executable, "-c", _SOCKETS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "0 True ['127.0.0.1']\n"
