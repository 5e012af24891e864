"""How a long job reports what it is doing: stages that advance, and warnings."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Progress = Callable[[int, int], None]
"""Called with how many images (or steps) are done, and how many there are in all."""

Warn = Callable[[str], None]
"""Called with one sentence that the user should know."""


class Watcher(Protocol):
    """Follows a command."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Begin a stage; the progress that comes back is called as it advances."""
        ...

    def warn(self, text: str) -> None:
        """Pass on one sentence that the user should know."""
        ...


class Silence:
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
