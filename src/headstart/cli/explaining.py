"""How explanations are shown in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.predictor.predictor import FailedPrediction

if TYPE_CHECKING:
    from headstart.commands.explain import AnyExplanation
    from headstart.record.explanation import ExplainedImage, SimilarImage


def show_explanations(console: Console, explained: Sequence[AnyExplanation]) -> None:
    """Show each image with its heat map and the similar training images."""
    read = [one for one in explained if not isinstance(one, FailedPrediction)]
    similar = any(one.nearest for one in read)
    columns: tuple[str, ...] = ("image", "label", "probability>", "heat map")
    columns += ("similar training images",) if similar else ()
    if read:
        print_table(console, columns, [_row(one)[: len(columns)] for one in read])
        print_line(console, "Orange parts support the label, blue parts speak against it.")
    if similar:
        print_line(
            console,
            "Images whose three nearest training images have a mean distance above 1 are unknown.",
        )
    for one in explained:
        if isinstance(one, FailedPrediction):
            print_line(console, f"{one.image} was not read: {one.error}")


def _row(one: ExplainedImage) -> list[Text]:
    label = Text(one.label, "bold")
    if one.unknown:
        label = Text.assemble(("unknown", "bold yellow"), (f" ({one.label})", "dim"))
    similar = ", ".join(map(_similar, one.nearest))
    share = Text(f"{one.probability:.1%}")
    return [Text(one.image), label, share, Text(one.heat_map), Text(similar, "dim")]


def _similar(one: SimilarImage) -> str:
    name = f" {one.image}" if one.image else ""
    return f"{one.label or 'no label'}{name} ({one.distance:.2f})"
