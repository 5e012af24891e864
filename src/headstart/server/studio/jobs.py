"""Long work of the studio, one at a time, with progress; it can be paused and cancelled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydantic import JsonValue

from headstart.errors import HeadstartError, ProjectError
from headstart.watching import Progress, StageProgress, Watcher

log = logging.getLogger("headstart.server")

Work = Callable[[Watcher], dict[str, JsonValue]]
"""Does the work, and returns what it has found."""


@dataclass(frozen=True)
class JobState:
    """The work that is done, or was done last.

    Attributes:
        name: What it is: "train", "finish" or "export"; "" if there was none.
        running: Whether it is going on.
        paused: Whether it waits to be continued.
        stage: What it does now, as a phrase.
        done: How much of the stage is done.
        total: How much there is to do in the stage; 0 if that is not known.
        warnings: What it has warned of.
        error: Why it has not come to its end; "" if it has.
        result: What it has found.
    """

    name: str = ""
    running: bool = False
    paused: bool = False
    stage: str = ""
    done: int = 0
    total: int = 0
    warnings: tuple[str, ...] = ()
    error: str = ""
    result: dict[str, JsonValue] | None = None


class _Cancelled(Exception):
    """The work was cancelled."""


class Jobs:
    """Runs long work in a thread of its own.

    Args:
        changed: Called whenever the state has changed.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.state = JobState()
        self._changed = changed
        self._going, self._cancelled = threading.Event(), False
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def start(self, name: str, work: Work) -> None:
        """Begin some work.

        Raises:
            ProjectError: Other work is going on.
        """
        with self._lock:
            if self.state.running:
                raise ProjectError("The studio is busy. Wait until it has finished, or cancel it.")
            self.state = JobState(name, running=True, stage="Starting")
            self._cancelled = False
            self._going.set()
            self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            self._thread.start()
        self._changed()

    def pause(self, *, paused: bool) -> None:
        """Pause the work at the next step, or continue it."""
        with self._lock:
            if paused and self.state.running:
                self._going.clear()
            else:
                self._going.set()
            self._set(paused=paused and self.state.running)

    def cancel(self) -> None:
        """End the work at the next step. What it has stored, such as features, stays."""
        with self._lock:
            self._cancelled = True
            self._going.set()
            if self.state.running:
                self._set(paused=False, stage="Cancelling")

    def stop(self, patience: float) -> None:
        """Cancel the work, and wait so many seconds for its end."""
        self.cancel()
        if self._thread:
            self._thread.join(patience)

    def _run(self, work: Work) -> None:
        result, error = None, ""
        try:
            result = work(_Watcher(self))
        except _Cancelled:
            error = "Cancelled."
        except HeadstartError as problem:
            error = str(problem)
        except Exception:
            log.exception("The studio's work failed.")
            error = "The work failed. The studio's terminal says why."
        self._set(running=False, paused=False, stage="", error=error, result=result)

    def begin(self, stage: str) -> None:
        """Show that a stage begins."""
        self._wait()
        self._set(stage=stage, done=0, total=0)

    def advance(self, done: int, total: int) -> None:
        """Show the progress of a stage, and wait while the work is paused."""
        self._set(done=done, total=total)
        self._wait()

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._set(warnings=(*self.state.warnings, text))

    def _wait(self) -> None:
        self._going.wait()
        if self._cancelled:
            raise _Cancelled

    def _set(self, **values: object) -> None:
        with self._lock:
            self.state = replace(self.state, **values)  # type: ignore[arg-type]
        self._changed()


class _Watcher:
    """Shows the stages of a command as those of a job."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""
        self._jobs.begin(name)

        def step(what: str) -> None:
            self._jobs.begin(f"{name}: {what}")

        yield StageProgress(self._jobs.advance, step, step)

    def note(self, text: str) -> None:
        """See `Watcher.note`."""

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        self._jobs.warn(text)
