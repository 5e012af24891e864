"""What the nodes of a cluster must have in common with this process."""

import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headstart.data.remote import access_problem
from headstart.errors import ClusterError, DataError
from headstart.urls import is_url

Result = TypeVar("Result")

_WITHIN = 60.0
"""Seconds in which a node must start a process."""


def check_cores() -> None:
    """Check that a node has cores; otherwise, work would wait forever.

    Raises:
        ClusterError: No node has any.
    """
    if not any(cores_of_nodes()):
        raise ClusterError(
            "No node of the cluster has cores for work. Start more nodes, or the head without "
            "--num-cpus 0; 'ray status' lists what there is."
        )


def check_nodes(own: tuple[str, str]) -> None:
    """Check that each node has the same versions as this process.

    Args:
        own: See `versions`.

    Raises:
        ClusterError: A node has another one, or none.
    """
    for name, found in on_each_node(versions).items():
        if found != own:
            raise ClusterError(
                f"Node {name} has {_described(found)}, and this process {_described(own)}. Install "
                "the same versions on all nodes."
            )


_SHARE = (
    "Put the files on a file system that all nodes share, at the same path, or in an object store."
)
SHARE_CACHE = (
    "All nodes need the same cache: set --cache to a folder on a file system that they share, or "
    "to a URL in an object store."
)


def check_visible(path: str, cure: str = _SHARE) -> None:
    """Check that each node sees a file or folder, or may use the object store that has it.

    Args:
        path: Its path or URL.
        cure: What to do about a path that a node does not see.

    Raises:
        DataError: A node does not.
    """
    if is_url(path):
        _check_usable(path)
        return
    absolute = Path(path).absolute()
    for name, found in on_each_node(absolute.exists).items():
        if not found:
            raise DataError(f"'{path}' is not there on node {name}. {cure}")


def _check_usable(url: str) -> None:
    for name, problem in on_each_node(partial(access_problem, url)).items():
        if problem:
            raise DataError(
                f"On node {name}: {problem} All nodes need the same variables for the object "
                "store, such as AWS_ENDPOINT_URL and AWS_ACCESS_KEY_ID, when Ray is started there."
            )


def on_each_node(function: Callable[[], Result]) -> dict[str, Result]:
    """Return the result of a function on each node that is there, by the address of the node.

    Raises:
        ClusterError: A node does not answer.
    """
    remote = ray.remote(num_cpus=0)(lambda: function())
    running = {
        remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(): node["NodeManagerAddress"]
        for node in _alive()
    }
    done, waiting = ray.wait(list(running), num_returns=len(running), timeout=_WITHIN)
    if waiting:
        raise ClusterError(
            f"Node {running[waiting[0]]} does not start processes within {_WITHIN:.0f} seconds. "
            "'ray status' tells what it does."
        )
    results = dict[str, Result]()
    for reference in done:
        try:
            results[running[reference]] = ray.get(reference)
        except RayTaskError:
            raise
        except RayError:  # The node has just gone away; others will do its work.
            continue
    return results


def enter(folder: str) -> None:
    """Change to a folder, so that relative paths mean the same as in another process."""
    if Path(folder).is_dir():  # Otherwise, the node does not share it.
        os.chdir(folder)


def node_names() -> set[str]:
    """Return the addresses of the nodes."""
    return {node["NodeManagerAddress"] for node in _alive()}


def cores_of_nodes() -> list[int]:
    """Return the number of cores of each node that Ray may use; 0 for a head that only manages."""
    return [int(node["Resources"].get("CPU", 0)) for node in _alive()]


def _alive() -> list[dict[str, Any]]:
    known = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in known if node["Alive"]]


def versions() -> tuple[str, str]:
    """Return the versions of Headstart and of Python here; "" without Headstart."""
    try:
        return version("headstart"), sys.version.split()[0]
    except PackageNotFoundError:
        return "", sys.version.split()[0]


def _described(found: tuple[str, str]) -> str:
    headstart, python = found
    return f"{f'Headstart {headstart}' if headstart else 'no Headstart'} on Python {python}"
