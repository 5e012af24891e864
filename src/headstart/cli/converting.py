"""How a conversion is shown in the terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from headstart.cli.columns import print_line

if TYPE_CHECKING:
    from headstart.commands.convert import Conversion


def show_conversion(console: Console, conversion: Conversion) -> None:
    """Show what was written, and how to train on it."""
    total = sum(conversion.images.values())
    parts = ", ".join(f"{count:,} {part}" for part, count in conversion.images.items())
    split = f" ({parts})" if "all" not in conversion.images else ""
    classes = len(conversion.classes)
    print_line(
        console,
        f"Written to {conversion.out}: {total:,} images{split} with {conversion.boxes:,} boxes of "
        f"{classes:,} {'class' if classes == 1 else 'classes'}.",
    )
    command = ["headstart", "train", str(conversion.out)]
    print_line(console, f"  train  {shlex.join(command)}")
