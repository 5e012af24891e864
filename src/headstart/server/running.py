"""Run a server: one process or several, until it is told to stop."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from headstart.errors import OptionError, ServerError
from headstart.files import remove
from headstart.server import metrics
from headstart.server.gate import LOOPBACK
from headstart.server.models import Place
from headstart.serving_options import ServeOptions

KEY_VARIABLE = "HEADSTART_API_KEY"

_SHORTEST_KEY = 16
_WAITING_CONNECTIONS = 2048
_SHUTDOWN_SECONDS = 120
# A worker that imports libraries on a busy machine does not answer for longer than 5 seconds.
_HEALTH_SECONDS = 60


@dataclass(frozen=True)
class Started:
    """A server that is about to answer.

    Attributes:
        address: Its address, such as "http://localhost:8000".
        open: Whether others can connect without a key.
    """

    address: str
    open: bool


def serve(models: Sequence[str], options: ServeOptions, tell: Callable[[Started], None]) -> None:
    """Serve models until the process is told to stop.

    Args:
        models: MODEL or NAME=MODEL each, or a folder of models.
        options: The options.
        tell: Called when the server is about to answer.

    Raises:
        HeadstartError: A model cannot be loaded, two have the same name, the key is too short, or
            the port is in use.
    """
    places, key = _places(models, options), _key(options)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(options.host, options.port))
        if options.workers > 1:
            stack.enter_context(_counting_together())
        from headstart.server.app import create_app

        make = partial(create_app, places, options, key)
        host, port = listening.getsockname()[:2]
        name = "localhost" if host in ("127.0.0.1", "::1") else host
        started = Started(
            f"http://{f'[{name}]' if ':' in name else name}:{port}",
            open=key is None and options.host not in LOOPBACK,
        )
        if options.workers > 1:
            _run_several(make, options, listening, lambda: tell(started))
        else:
            _run_one(make, listening, lambda: tell(started))


def app_maker(models: Sequence[str], options: ServeOptions) -> Callable[[], FastAPI]:
    """Return what makes the application in other processes, after a check of its models.

    Raises:
        HeadstartError: See `serve`.
    """
    places, key = _places(models, options), _key(options)
    from headstart.server.app import create_app

    make = partial(create_app, places, options, key)
    make().state.headstart.models.check()
    return make


def _places(models: Sequence[str], options: ServeOptions) -> tuple[Place, ...]:
    if options.label_studio:
        from headstart.server.label_studio.backend import place_of

        return (place_of(models),)
    return tuple(map(Place.parse, models))


def _run_one(
    make: Callable[[], FastAPI], listening: socket.socket, tell: Callable[[], None]
) -> None:
    app = make()
    app.state.headstart.models.load_all()
    tell()
    uvicorn.Server(server_config(app)).run([listening])


def _run_several(
    make: Callable[[], FastAPI],
    options: ServeOptions,
    listening: socket.socket,
    tell: Callable[[], None],
) -> None:
    """Run worker processes. They are started afresh: an engine does not survive a fork."""
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    make().state.headstart.models.check()
    tell()
    config = server_config(make, factory=True, workers=options.workers)
    supervisor = Multiprocess(config, [listening])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise ServerError("A worker process could not start. The lines above say why.")


def server_config(app: Any, **more: Any) -> uvicorn.Config:  # noqa: ANN401
    """Return how an application, or what makes it, is run."""
    from headstart.server.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        backlog=_WAITING_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=_HEALTH_SECONDS,
        log_config=LOGGING,
        **more,
    )


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "headstart.server.gate.JsonLines"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "lines",
        }
    },
    "loggers": {
        "headstart.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.error": {"level": "WARNING"},
        # What is wrong with a form is in the answer.
        "python_multipart": {"level": "CRITICAL"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
"""The configuration of the log: one JSON object per line, on stderr."""


@contextmanager
def _counting_together() -> Iterator[None]:
    """Let the worker processes that are started within a block count in files of one folder.

    Prometheus' library reads the variable when it is imported, which each of them does anew.
    """
    folder = tempfile.mkdtemp(prefix="headstart-metrics-")
    os.environ[metrics.FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[metrics.FOLDER]
        remove(Path(folder))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that a port in use is found before models are loaded.

    Raises:
        ServerError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ServerError(_why_not(host, port, error)) from None
    listening.set_inheritable(True)
    return listening


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Choose another one with --port, or 0 for any free one."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one from 1024 up with --port."
    return f"Address '{host}' cannot be used: {error.strerror or error}. Choose another --host."


def _key(options: ServeOptions) -> str | None:
    """Return the key that clients must send, from a file or the environment.

    Raises:
        OptionError: The file cannot be read, or the key is short.
    """
    key, place = os.environ.get(KEY_VARIABLE), f"the environment variable {KEY_VARIABLE}"
    if options.api_key_file is not None:
        place = f"'{options.api_key_file}'"
        try:
            key = options.api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"The key cannot be read from {place}: {error}.") from None
    if key is None:
        return None
    if len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable():
        raise OptionError(
            f"The key in {place} must have at least {_SHORTEST_KEY} printable ASCII characters."
        )
    return key
