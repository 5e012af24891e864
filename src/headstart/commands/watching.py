"""What a long command tells whoever watches: stages that advance, and warnings."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from headstart.data.checks import Progress


class Watcher(Protocol):
    """Somebody who is told how far a command is."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Begin a stage; the progress that comes back is called as it advances."""
        ...

    def warn(self, text: str) -> None:
        """Say one sentence that the user should know."""
        ...


class Silence:
    """Nobody watches."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""
        yield lambda done, total: None

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
