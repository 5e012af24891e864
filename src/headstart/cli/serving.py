"""How a server is started from the terminal."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from headstart.cli.columns import print_line
from headstart.cluster.joining import joined
from headstart.errors import ServerError
from headstart.serving_options import ServeOptions, StudioOptions
from headstart.watching.display import Display

if TYPE_CHECKING:
    from headstart.server.running import Started


def run_server(console: Console, models: Sequence[str], options: ServeOptions) -> None:
    """Serve models, and show where, until Ctrl-C.

    Raises:
        ServerError: The libraries are not installed, or the server cannot start.
    """
    with _installed("serve models"):
        from headstart.server.running import app_maker, serve
    if options.cluster:
        _serve_on_cluster(console, app_maker(models, options), options)
        return
    loading = console.status("Loading the models")
    loading.start()

    def show(started: Started) -> None:
        loading.stop()
        print_line(console, "Serving until Ctrl-C:")
        print_line(console, f"  page  {started.address}")
        print_line(console, f"  API   {started.address}/docs")
        if started.open:
            print_line(
                console,
                "Whoever can reach this machine can use this server. With a key in the environment "
                "variable HEADSTART_API_KEY, only clients that send it can.",
            )

    try:
        serve(models, options, show)
    except KeyboardInterrupt:
        return  # It is how a server is ended.
    finally:
        loading.stop()


def open_studio(console: Console, folder: Path, options: StudioOptions) -> None:
    """Run the studio, and open its page, until Ctrl-C.

    Raises:
        HeadstartError: The libraries are not installed, or the folder cannot be used.
    """
    with _installed("label images"):
        from headstart.server.studio.app import run_studio
    loading = console.status("Loading the studio")
    loading.start()

    def show(address: str) -> None:
        loading.stop()
        print_line(console, f"The studio, until Ctrl-C: {address}")
        if not options.no_browser:
            webbrowser.open(address)

    try:
        run_studio(folder, options, show)
    except KeyboardInterrupt:
        return  # It is how the studio is ended.
    finally:
        loading.stop()


@contextmanager
def _installed(purpose: str) -> Iterator[None]:
    """Say what to install if a library is missing.

    Raises:
        ServerError: One is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ServerError(
            f"To {purpose}, run pip install 'headstart[serve]': '{error.name}' is missing."
        ) from None


def _serve_on_cluster(console: Console, make: Callable[[], object], options: ServeOptions) -> None:
    """Hand the application over to a cluster; on one of this machine alone, wait for Ctrl-C."""
    assert options.cluster
    watcher = Display(console)
    with joined(options.cluster, watcher) as cluster:
        with watcher.stage("Starting replicas"):
            cluster.serve(
                make,
                host=options.host,
                port=options.port,
                replicas=options.workers,
                device=options.device,
            )
        address = f"http://{options.host}:{options.port}"
        if options.cluster == "local":
            print_line(console, f"Serving until Ctrl-C: {address}")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            return
    print_line(console, f"Served by the cluster from now on, on its nodes: {address}")
    print_line(
        console,
        "  The same command with other models replaces them without a pause; 'serve shutdown' "
        "ends it.",
    )
