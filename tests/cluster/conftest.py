"""A cluster of three nodes on this machine."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# Ray reads it when it is imported: its own address is 127.0.0.1, as that of the nodes.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

import ray
from ray.cluster_utils import Cluster as Nodes

from headstart.cluster import connection
from tests.object_store import ObjectStore

_SMALL = {"num_cpus": 1, "object_store_memory": 100 * 1024**2}


def add_node(nodes: Nodes, number: int) -> None:
    """Add a node with one core, at an address of its own."""
    nodes.add_node(**_SMALL, node_ip_address=f"127.0.0.{number}")


@pytest.fixture(scope="package")
def nodes(object_store: ObjectStore) -> Iterator[Nodes]:
    """Start a head without cores, and two nodes with one core each; all know the store."""
    started = Nodes(
        initialize_head=True,
        head_node_args={
            **_SMALL,
            "num_cpus": 0,
            "include_dashboard": False,
            "node_ip_address": "127.0.0.1",
            "_system_config": {  # Dead nodes are noticed soon.
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 500,
                "health_check_failure_threshold": 4,
            },
        },
    )
    try:
        for number in (2, 3):
            add_node(started, number)
        yield started
    finally:
        started.shutdown()


@pytest.fixture(scope="package")
def address(nodes: Nodes) -> str:
    """Return the address of its head."""
    return nodes.address


@pytest.fixture(scope="module")
def joined_once(address: str) -> Iterator[None]:
    """Stay connected between the tests of a module: joining starts processes on all nodes."""
    connect, leave = connection._connect, ray.shutdown

    def connect_once(address: str) -> None:
        if not ray.is_initialized():
            connect(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "_connect", connect_once)
        patch.setattr(ray, "shutdown", lambda: None)
        yield
    leave()
