"""How a server is started from the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from headstart.cli.columns import print_line
from headstart.errors import ServerError
from headstart.serving_options import ServeOptions

if TYPE_CHECKING:
    from headstart.server.running import Started


def run_server(console: Console, models: Sequence[str], options: ServeOptions) -> None:
    """Serve models, and show where, until Ctrl-C.

    Raises:
        ServerError: The libraries are not installed, or the server cannot start.
    """
    try:
        from headstart.server.running import serve
    except ModuleNotFoundError as error:
        raise ServerError(
            f"To serve models, run pip install 'headstart[serve]': '{error.name}' is missing."
        ) from None
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
