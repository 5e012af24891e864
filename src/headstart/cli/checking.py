"""How a check of the data is shown in the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from headstart.cli.again import command_with_plan
from headstart.cli.columns import Row, print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.record.data_check import Copies, DataCheck, LabelError

if TYPE_CHECKING:
    from headstart.commands.check import CheckResult
    from headstart.options import CheckOptions

_SHOWN = 10


def show_check(
    console: Console, result: CheckResult, options: CheckOptions, arguments: Sequence[str]
) -> None:
    """Show what was found, or what a plan has changed.

    Args:
        console: Where to print.
        result: The result.
        options: The options of the command.
        arguments: Its arguments, which are repeated in the command that carries out a plan.
    """
    record = result.record
    if result.applied is not None:
        _show_applied(console, result)
        return
    show_rejections(console, record.rejected)
    _show_copies(console, "One picture, several labels", record.conflicts)
    _show_leaks(console, record.leaks)
    _show_label_errors(console, record.label_errors)
    _show_boxes(console, record.boxes)
    _show_findings(console, record)
    print_line(console, f"Done in {record.seconds:.1f} s")
    if options.report:
        print_line(console, f"  page  {options.report}")
    if options.plan:
        print_line(console, f"  plan  {options.plan}")
        command = command_with_plan(arguments, options.plan)
        print_line(console, f"        edit it, then: {command}")


def _show_applied(console: Console, result: CheckResult) -> None:
    applied = result.applied or {}
    counts = ", ".join(f"{action} {count:,}" for action, count in applied.items() if count)
    print_line(console, f"Copied to {result.out}: {counts}.")
    names = [one.name for one in result.record.classes]
    several = result.record.task == "multi"
    if several and any("," in name for name in names):
        print_line(console, "To train on it, pass the columns of the labels with --labels.")
        return
    extra = ["--labels", ",".join(names)] if several else []
    command = ["headstart", "train", f"{result.out}/images.csv", *extra]
    print_line(console, f"  train  {shlex.join(command)}")


def _show_findings(console: Console, record: DataCheck) -> None:
    sentences = list(record.findings)
    noun = "finding" if len(sentences) == 1 else "findings"
    print_line(console, f"{len(sentences):,} {noun}:" if sentences else "Nothing was found.")
    for sentence in sentences:
        print_line(console, f"  - {sentence}")


def _show_boxes(console: Console, boxes: Sequence[tuple[str, str]]) -> None:
    for name, value in boxes:
        print_line(console, f"{name}: {value}")


def _show_copies(console: Console, title: str, groups: Sequence[Copies]) -> None:
    if groups:
        print_line(console, f"{title}: {len(groups):,}")
        rows = [_row(" = ".join(one.names), ", ".join(one.labels)) for one in groups[:_SHOWN]]
        print_table(console, ("images", "labels"), _with_rest(rows, len(groups)))


def _show_leaks(console: Console, leaks: Sequence[tuple[str, ...]]) -> None:
    if leaks:
        print_line(console, f"Across the split: {len(leaks):,}")
        rows = [_row(" = ".join(names)) for names in leaks[:_SHOWN]]
        print_table(console, ("images",), _with_rest(rows, len(leaks)))


def _show_label_errors(console: Console, errors: Sequence[LabelError]) -> None:
    if errors:
        print_line(console, f"Labels that may be wrong: {len(errors):,}")
        rows = [
            _row(one.image, one.label, one.suggested, f"{one.score:.2f}", *_part(one))
            for one in errors[:_SHOWN]
        ]
        parts = ("part",) if any(one.split for one in errors) else ()
        columns = ("image", "label", "suggested", "score>", *parts)
        print_table(console, columns, _with_rest(rows, len(errors)))


def _part(error: LabelError) -> tuple[str, ...]:
    return (error.split,) if error.split else ()


def _with_rest(rows: list[Row], count: int) -> Iterable[Row]:
    return [*rows, _row(f"… and {count - _SHOWN:,} more")] if count > _SHOWN else rows


def _row(*cells: str) -> Row:
    return [Text(cell) for cell in cells]
