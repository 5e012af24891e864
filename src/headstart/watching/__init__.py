"""How a long-running command reports its progress and warnings."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from headstart.errors import HeadstartWarning, OptionError

Progress = Callable[[int, int], None]
"""Called with the number of images (or steps) that are done, and the total."""

Warn = Callable[[str], None]
"""Called with one sentence for the user, about something that may be wrong."""

Note = Callable[[str], None]
"""Called with one sentence for the user: nothing is wrong."""


ProgressOption = Progress | bool | None
"""How a function of the library reports its progress: None or True shows it, False does not."""


@dataclass(frozen=True)
class StageProgress:
    """The progress of a stage that consists of steps: a `Progress` to which more can be told.

    Attributes:
        advance: Called with the numbers of images done and of all images.
        step: Called with the name of what runs now, such as "round 1 of 3".
        resumed: Called with the place where an interrupted stage is resumed.
    """

    advance: Progress
    step: Callable[[str], None]
    resumed: Callable[[str], None]

    def __call__(self, done: int, total: int) -> None:
        """See `Progress`."""
        self.advance(done, total)


def name_step(progress: Progress | None, name: str) -> None:
    """Tell what a stage does now, if that is shown."""
    if isinstance(progress, StageProgress):
        progress.step(name)


def name_place(progress: Progress | None, place: str) -> None:
    """Tell where an interrupted stage is resumed, if that is shown."""
    if isinstance(progress, StageProgress):
        progress.resumed(place)


def with_place(progress: Progress, resumed: Callable[[str], None]) -> StageProgress:
    """Return the progress of a stage, with another function for the place where it is resumed."""
    if isinstance(progress, StageProgress):
        return replace(progress, resumed=resumed)
    return StageProgress(progress, no_step, resumed)


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
    """Shows nothing: calls a function with the progress of each stage, and another with warnings.

    Args:
        progress: Receives the progress. Default: nothing does.
        warn: Receives warnings. Default: they become Python warnings, as in any library.
    """

    def __init__(self, progress: Progress | None = None, warn: Warn | None = None) -> None:
        self._progress, self._warn = progress or no_progress, warn or warn_in_python

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""
        yield self._progress

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        self._warn(text)


def watcher_for(progress: ProgressOption, warn: Warn | None = None) -> Watcher:
    """Return the watcher of a function of the library.

    Args:
        progress: None or True shows each stage on stderr or in the notebook, False shows nothing,
            and a function is called with the progress of each stage.
        warn: Receives warnings. Default: they become Python warnings.

    Raises:
        OptionError: `progress` is something else.
    """
    if progress is None or progress is True:
        from headstart.watching.display import display_for_library  # Importing Rich takes 0.1 s.

        return display_for_library(warn or warn_in_python)
    if progress is False:
        return LibraryWatcher(warn=warn)
    if not callable(progress):
        raise OptionError(f"progress must be True, False or a function. Got {progress!r}.")
    return LibraryWatcher(progress, warn)


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


def no_step(name: str) -> None:
    """Do nothing."""


def no_warning(text: str) -> None:
    """Do nothing."""


def no_note(text: str) -> None:
    """Do nothing."""
