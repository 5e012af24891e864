"""How a server is started from the terminal."""

from collections.abc import Sequence

from rich.console import Console

from headstart.errors import ServerError
from headstart.serving_options import ServeOptions

_INSTALL = "To serve models, run pip install 'headstart[serve]'."


def run_server(console: Console, models: Sequence[str], options: ServeOptions) -> None:
    """Serve models, and show where, until Ctrl-C.

    Raises:
        ServerError: The libraries are not installed, or the server cannot start.
    """
    try:
        from headstart.server.running import serve
    except ModuleNotFoundError as error:
        raise ServerError(f"{_INSTALL} ('{error.name}' is missing.)") from None

    def show(address: str) -> None:
        console.print(f"Serving at {address} (page), {address}/docs (API). Ctrl-C stops.")

    with console.status("Loading the models"):
        ...
    serve(models, options, show)
