"""How a push is shown in the terminal."""

from rich.console import Console

from headstart.cli.columns import print_line
from headstart.cli.tables import megabytes
from headstart.hub.pushing import PushedModel


def show_push(console: Console, pushed: PushedModel) -> None:
    """Show what was sent, where it is, and how to load it."""
    names = ", ".join(file.name for file in pushed.files)
    visible = "private" if pushed.private else "public"
    print_line(console, f"Pushed {names} ({megabytes(pushed.bytes)}) to {pushed.url} ({visible}).")
    print_line(console, f"Use it with: headstart predict {pushed.model} IMAGE")
