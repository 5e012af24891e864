"""How a long-running command reports its progress and warnings."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from headstart.errors import HeadstartWarning

Progress = Callable[[int, int], None]
"""Called with the number of images (or steps) that are done, and the total."""

Warn = Callable[[str], None]
"""Called with one sentence for the user."""


class Watcher(Protocol):
    """Receives the progress and warnings of a command."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Start a stage, and yield a function to call with its progress."""
        ...

    def note(self, text: str) -> None:
        """Show information to the user: nothing is wrong."""
        ...

    def warn(self, text: str) -> None:
        """Show one sentence to the user about something that may be wrong."""
        ...


class SilentWatcher:
    """Shows nothing."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""
        yield no_progress

    def note(self, text: str) -> None:
        """See `Watcher.note`."""

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""


class LibraryWatcher(SilentWatcher):
    """Passes warnings on to Python's `warnings`, as a library does, and shows nothing else."""

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        warn_in_python(text)


def warn_in_python(text: str) -> None:
    """Issue a `HeadstartWarning` that points to the code that called this package."""
    warnings.warn(text, HeadstartWarning, stacklevel=_caller_level())


def _caller_level() -> int:
    """Return the level of the first caller outside this package, where a warning points to."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("headstart."):
        frame, level = frame.f_back, level + 1
    return level


def no_progress(done: int, total: int) -> None:
    """Do nothing."""


def no_warning(text: str) -> None:
    """Do nothing."""
