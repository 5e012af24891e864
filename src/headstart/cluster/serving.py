"""Serve an application on a cluster, with Ray Serve."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from ray import serve
from ray.serve.exceptions import RayServeException

from headstart.cluster.nodes import enter, on_each_node
from headstart.errors import ServerError

_NAME = "headstart"
_WAITING = 16
"""Requests that each replica has at a time before another replica is started."""
_GRACE = 120.0
"""Seconds in which a replica that is replaced may finish its requests."""
_ROUTED_WITHIN = 30.0
"""Seconds in which the proxies must learn where the application is, once it runs."""


def deploy(make: Callable[[], Any], *, host: str, port: int, replicas: int, gpu: bool) -> None:
    """Start an application on a cluster, or replace the one there without a pause.

    Replicas are replaced one after the other, and each one finishes its requests. Their number
    follows the requests. They go on when this process ends.

    Args:
        make: Makes the ASGI application, in each replica.
        host: Address to listen on, on each node that has a replica.
        port: Port to listen on.
        replicas: The largest number of replicas.
        gpu: Whether a replica needs a GPU.

    Raises:
        ServerError: A replica does not start.
    """
    folder = str(Path.cwd())

    def build() -> Any:  # noqa: ANN401
        enter(folder)
        return make()

    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(
        proxy_location="EveryNode",
        http_options={"host": host, "port": port},
        logging_config=quiet,
    )
    deployment: Any = serve.deployment(
        serve.ingress(build)(),
        name=_NAME,
        ray_actor_options={"num_cpus": 1, "num_gpus": int(gpu)},
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": replicas,
            "target_ongoing_requests": _WAITING,
        },
        max_ongoing_requests=4 * _WAITING,
        graceful_shutdown_timeout_s=_GRACE,
        logging_config=quiet,
    )
    try:
        serve.run(deployment.bind(), name=_NAME, route_prefix="/", logging_config=quiet)
    except (RuntimeError, RayServeException) as error:
        raise ServerError(
            f"No replica could be started on the cluster: {' '.join(str(error).split())}"
        ) from None
    for node, routed in on_each_node(partial(is_routed, host, port)).items():
        if not routed:
            raise ServerError(
                f"The replicas run, but node {node} does not pass requests on to them. "
                "'serve status' tells what its proxy does."
            )


def is_routed(host: str, port: int) -> bool:
    """Wait until the proxy of this node answers for the application, and return whether it does.

    Ray says that an application is ready before all proxies know of it; until then, they answer
    404. A node without a proxy has nothing to wait for.
    """
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    end = time.monotonic() + _ROUTED_WITHIN
    while time.monotonic() < end:
        try:
            with urlopen(f"http://{own}:{port}/-/routes", timeout=_ROUTED_WITHIN) as answer:
                if _NAME in json.load(answer).values():
                    return True
        except HTTPError:
            pass  # It knows of no application yet.
        except OSError:
            return True
        time.sleep(0.05)
    return False
