"""Serve an application on a cluster, with Ray Serve."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.exceptions import RayServeException

from headstart.cluster.nodes import enter
from headstart.errors import ServerError

_NAME = "headstart"
_WAITING = 16
"""Requests that each replica has at a time before another replica is started."""
_GRACE = 120.0
"""Seconds in which a replica that is replaced may finish its requests."""


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
