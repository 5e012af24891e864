"""The table of images that were not used."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.record import Rejection

_MAX_REJECTIONS = 12


def show_rejections(console: Console, rejected: Sequence[Rejection]) -> None:
    """Show the images that were not used, with the reasons."""
    if not rejected:
        return
    print_line(console, f"Images not used: {len(rejected):,}")
    rows = [[Text(one.image), Text(one.reason)] for one in rejected[:_MAX_REJECTIONS]]
    if len(rejected) > _MAX_REJECTIONS:
        rows.append([Text(f"… and {len(rejected) - _MAX_REJECTIONS:,} more")])
    print_table(console, ("image", "reason"), rows)
