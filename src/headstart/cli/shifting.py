"""How a shift is shown in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.record.shift import ShiftRecord

_SHOWN = 10
_SMALL = 0.001


def show_shift(console: Console, record: ShiftRecord) -> None:
    """Show whether images are like the training images, and which to look at."""
    show_rejections(console, record.rejected)
    for sentence in record.sentences:
        print_line(console, sentence)
    if record.traits:
        print_line(console, "What moved:")
        rows = [
            [
                Text(one.name),
                Text(f"{one.training:.2f}"),
                Text(f"{one.new:.2f}"),
                Text(_p(one.p)),
            ]
            for one in record.traits
        ]
        print_table(console, ("statistic", "training images>", "these images>", "p>"), rows)
    if record.unlike:
        print_line(console, "Most unlike the training images (above 1 is unknown):")
        rows = [[Text(one.image), Text(f"{one.distance:.2f}")] for one in record.unlike[:_SHOWN]]
        print_table(console, ("image", "distance>"), rows)
    if record.label_first:
        print_line(console, "Label these first:")
        for image in record.label_first[:_SHOWN]:
            print_line(console, f"  {image}")
        if (more := len(record.label_first) - _SHOWN) > 0:
            print_line(console, f"  … and {more:,} more with --json")


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= _SMALL else f"<{_SMALL}"
