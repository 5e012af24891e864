"""How a long-running command reports its progress and warnings."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Progress = Callable[[int, int], None]
"""Called with the number of images (or steps) that are done, and the total."""

Warn = Callable[[str], None]
"""Called with one sentence for the user."""


class Watcher(Protocol):
    """Receives the progress and warnings of a command."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Start a stage, and yield a function to call with its progress."""
        ...

    def warn(self, text: str) -> None:
        """Show one sentence to the user."""
        ...


class SilentWatcher:
    """Shows nothing."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""
        yield no_progress

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""


def no_progress(done: int, total: int) -> None:
    """Do nothing."""


def no_warning(text: str) -> None:
    """Do nothing."""
