"""What the terminal shows while a command works."""

import io
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from headstart.cli.terminal import Terminal
from tests.cli.conftest import Done


def written(width: int = 100) -> tuple[Terminal, io.StringIO]:
    """Give a terminal that writes to a file, as `2> log` does."""
    out = io.StringIO()
    return Terminal(Console(file=out, width=width)), out


def test_a_stage_is_one_line_when_it_is_done() -> None:
    """In a log file a stage leaves one line with its time, count and rate, and nothing else."""
    terminal, out = written()
    with terminal.stage("Checking images") as advance:
        advance(1, 2)
        advance(2, 2)
    pattern = r"✓ Checking images +\d+\.\d s  2 images, [\d,]+/s\n"
    assert re.fullmatch(pattern, out.getvalue())


def test_a_stage_in_parts_counts_what_was_done() -> None:
    """Rounds count anew; one that ends early counts as far as it came."""
    terminal, out = written()
    with terminal.stage("Fine-tuning") as advance:
        for done in (32, 64, 32, 48):
            advance(done, 640)
    assert "  112 images, " in out.getvalue()


def test_a_failed_stage_leaves_no_line() -> None:
    """A stage that ends in an error is not marked as done, and leaves nothing in a log."""
    terminal, out = written()
    try:
        with terminal.stage("Checking images"):
            raise RuntimeError
    except RuntimeError:
        pass
    assert out.getvalue() == ""


def test_a_warning_is_said_once() -> None:
    """The same sentence again says nothing new."""
    terminal, out = written()
    terminal.warn("The disk is slow.")
    terminal.warn("The disk is slow.")
    assert out.getvalue() == "! The disk is slow.\n"


def test_a_warning_is_shown_literally() -> None:
    """Names in a warning are no markup."""
    terminal, out = written()
    terminal.warn("No test image of '[red]x[/]'.")
    assert out.getvalue() == "! No test image of '[red]x[/]'.\n"


def test_stderr_of_a_training_has_no_empty_lines(
    train: Callable[..., Done], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A log of a training is three lines, one for each stage."""
    done = train(make_folder(), "--out", tmp_path / "run")
    starts = [line[:6] for line in done.err.splitlines()]
    assert starts == ["✓ Chec", "✓ Extr", "✓ Trai"]
