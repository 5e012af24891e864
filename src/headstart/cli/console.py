"""Where the commands print."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from headstart.watching.display import Display


def display() -> "Display":
    """Return a watcher that shows stages, progress and warnings on stderr."""
    from headstart.watching.display import Display

    return Display(stderr())


def print_error(text: str) -> None:
    """Print the message of an error."""
    from rich.text import Text

    stderr().print(Text("Error: ", style="bold red").append(text, style="default"), soft_wrap=True)


def stdout() -> "Console":
    """Return where results are printed."""
    from rich.console import Console

    # Lines of piped output are not wrapped, so that grep and less see them whole.
    return Console() if sys.stdout.isatty() else Console(width=10_000)


def stderr() -> "Console":
    """Return where everything else is printed."""
    from rich.console import Console

    return Console(stderr=True)
