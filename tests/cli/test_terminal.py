"""Progress and warnings in the terminal."""

import io
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from headstart.cli.terminal import Terminal
from tests.cli.conftest import Completed


def make_terminal(width: int = 100) -> tuple[Terminal, io.StringIO]:
    """Return a terminal that writes to a file, as with `2> log`, and that file."""
    out = io.StringIO()
    return Terminal(Console(file=out, width=width)), out


def test_a_stage_is_one_line_when_it_is_done() -> None:
    """In a log file a stage leaves one line with its time, count and rate, and nothing else."""
    terminal, out = make_terminal()
    with terminal.stage("Checking images") as advance:
        advance(1, 2)
        advance(2, 2)
    pattern = r"✓ Checking images +\d+\.\d s  2 images, [\d,]+/s\n"
    assert re.fullmatch(pattern, out.getvalue())


def test_a_stage_in_parts_counts_all_parts() -> None:
    """Each round restarts its count; a round that ends early counts what was done."""
    terminal, out = make_terminal()
    with terminal.stage("Fine-tuning") as advance:
        for done in (32, 64, 32, 48):
            advance(done, 640)
    assert "  112 images, " in out.getvalue()


def test_a_failed_stage_prints_nothing() -> None:
    """A stage that ends in an error is not marked as done."""
    terminal, out = make_terminal()
    try:
        with terminal.stage("Checking images"):
            raise RuntimeError
    except RuntimeError:
        pass
    assert out.getvalue() == ""


def test_a_warning_is_printed_once() -> None:
    """A repeated warning is printed once."""
    terminal, out = make_terminal()
    terminal.warn("The disk is slow.")
    terminal.warn("The disk is slow.")
    assert out.getvalue() == "! The disk is slow.\n"


def test_a_warning_is_shown_literally() -> None:
    """Names in a warning are not treated as markup."""
    terminal, out = make_terminal()
    terminal.warn("No test image of '[red]x[/]'.")
    assert out.getvalue() == "! No test image of '[red]x[/]'.\n"


def test_stderr_of_a_training_has_no_empty_lines(
    train: Callable[..., Completed], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The log of a training has one line per stage, note or warning."""
    done = train(make_folder(), "--out", tmp_path / "run")
    starts = [line[:6] for line in done.err.splitlines()]
    assert starts == ["✓ Chec", "· 24 i", "! The ", "✓ Extr", "✓ Trai"]
