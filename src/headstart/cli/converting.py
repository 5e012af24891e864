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
    images = f"{total:,} {'image' if total == 1 else 'images'}{split}"
    boxes = f"{conversion.boxes:,} {'box' if conversion.boxes == 1 else 'boxes'}"
    of_classes = f"{classes:,} {'class' if classes == 1 else 'classes'}"
    print_line(console, f"Written to {conversion.out}: {images} with {boxes} of {of_classes}.")
    command = ["headstart", "train", str(conversion.out)]
    print_line(console, f"  train  {shlex.join(command)}")
