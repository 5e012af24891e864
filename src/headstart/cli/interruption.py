"""What is said after Ctrl-C: what is kept, and the command that continues."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from headstart.cli.again import command_again
from headstart.errors import RunInterrupted


@dataclass
class _Said:
    """What is said if the command is interrupted.

    Attributes:
        arguments: The arguments of the command.
        kept: A sentence about what is kept; "" if there is none.
        again: The command that continues; "" if there is none.
    """

    arguments: Sequence[str]
    kept: str = ""
    again: str = ""


_said: ContextVar[_Said] = ContextVar("said")


def begin(arguments: Sequence[str]) -> None:
    """Begin a command, of which nothing can be continued yet."""
    _said.set(_Said(arguments))


def arguments() -> Sequence[str]:
    """Return the arguments of the command."""
    return _said.get().arguments


@contextmanager
def continued(kept: str = " Everything computed so far is kept.") -> Iterator[None]:
    """After Ctrl-C, note what is kept and the command that continues, to be printed at the end."""
    _said.get().kept = kept
    try:
        yield
    except KeyboardInterrupt as error:
        continue_with(error.run if isinstance(error, RunInterrupted) else None)
        raise


def continue_with(run: Path | None) -> None:
    """Note the command that continues: it resumes a run or, without one, is the same again."""
    said = _said.get()
    said.again = command_again(said.arguments, resumed=run)


def print_interrupted() -> None:
    """Print that the command was interrupted, and what was noted."""
    said = _said.get()
    print(f"Interrupted.{said.kept}", file=sys.stderr)  # noqa: T201
    if said.again:
        print(f"To continue: {said.again}", file=sys.stderr)  # noqa: T201
