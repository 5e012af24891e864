"""Progress on the user's screen: a bar in a terminal or a notebook, plain lines anywhere else.

All of it goes to stderr; stdout is for results.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from threading import Event, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from headstart.watching import Progress as ProgressCallback
from headstart.watching import StageProgress, Warn

# Seconds between two updates of a bar in a notebook, and between two looks at the clock.
TICK = 0.25
# In plain text, a stage prints a line after this many seconds without one.
MAX_SILENCE = 3.5
# Images per second below which the rate is not shown: it is that of starting, not of images.
_MIN_RATE = 1.0


class Display:
    """A watcher that shows each stage, and leaves one line with its time when it is done.

    In a terminal or a Jupyter notebook, a running stage is a bar with the rate and the remaining
    time. Anywhere else, such as in a log, it is a line every few seconds.

    Args:
        console: Where to print.
        warn: Receives warnings. Default: they are printed, each once.
    """

    def __init__(self, console: Console, *, warn: Warn | None = None) -> None:
        self._console = console
        self._warn = warn
        self._printed: set[str] = set()
        self._last_line = -math.inf

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressCallback]:
        """See `Watcher.stage`."""
        stage = _Stage(name, self._console)
        with self._showing(stage):
            yield StageProgress(stage.advance, stage.name_step, self._note_resumed)
        if not self._console.is_jupyter:  # There, it has replaced the bar.
            self._print(stage.summary())

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Show that libraries are being loaded, which takes seconds; no line is left of it."""
        with self._showing(_Stage("Loading libraries", self._console)):
            yield

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self._print(Text.assemble(("· ", "green"), text))

    def _note_resumed(self, place: str) -> None:
        self.note(f"Resuming at {place}")

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        if self._warn:
            self._warn(text)
        elif text not in self._printed:
            self._printed.add(text)
            self._print(Text.assemble(("! ", "bold yellow"), (text, "yellow")))

    def _showing(self, stage: "_Stage") -> AbstractContextManager[object]:
        if self._console.is_jupyter:
            return _in_notebook(stage)
        if self._console.is_interactive:
            return stage.bars
        self._break_silence(stage)
        return _every(TICK, lambda: self._break_silence(stage))

    def _break_silence(self, stage: "_Stage") -> None:
        if time.perf_counter() - self._last_line >= MAX_SILENCE:
            self._print(stage.state())

    def _print(self, line: Text) -> None:
        # Lines of a log are not wrapped, so that grep and less see them whole.
        in_log = not (self._console.is_terminal or self._console.is_jupyter)
        self._console.print(line, soft_wrap=in_log)
        self._last_line = time.perf_counter()


def display_for_library(warn: Warn) -> Display:
    """Return a display on stderr, or in the notebook that is running."""
    return Display(Console(stderr=True), warn=warn)


class _Stage:
    """A running stage: what was done so far, and its bar."""

    def __init__(self, name: str, console: Console) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            _Count(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            _Elapsed(),
        )
        self.name, self._step = name, ""
        self.bars = Progress(
            *columns, console=console, transient=True, disable=not console.is_interactive
        )
        self.bars.add_task(name, total=None)
        (self._task,) = self.bars.tasks
        self._begin = time.perf_counter()
        self._count = self._last = 0

    def advance(self, done: int, total: int) -> None:
        """Show that some images are done.

        A stage in parts restarts its count. After the last image it goes on without a count, as it
        may take long until the stage is done.
        """
        self._count += done if done < self._last else done - self._last
        self._last = done
        self._task.total = None if done >= total else total
        self.bars.update(self._task.id, completed=done)

    def name_step(self, name: str) -> None:
        """Show what runs now, beside the name of the stage."""
        self._step = name
        self.bars.update(self._task.id, description=f"{self.name}: {name}")

    def state(self) -> Text:
        """Return a line about the running stage."""
        seconds = time.perf_counter() - self._begin
        elapsed, *pace = (f"{seconds:6.1f} s", *_pace(self._task)) if seconds >= TICK else ("",)
        parts = (elapsed, self._step, _count(self._task), *pace)
        figures = "  ".join(part for part in parts if part)
        return Text(f"… {self.name:<22}{figures}".rstrip(), style="dim")

    def summary(self) -> Text:
        """Return a line about the finished stage."""
        seconds = time.perf_counter() - self._begin
        figures = f"{seconds:6.1f} s{self._processed(seconds) if self._count else ''}"
        return Text.assemble(("✓ ", "green"), f"{self.name:<22}", (figures, "dim"))

    def _processed(self, seconds: float) -> str:
        """Return the number of images and, if it says something, how many per second."""
        rate = _rate(self._count / seconds)
        plural = "s" if self._count > 1 else ""
        return f"  {self._count:,} image{plural}" + (rate and f", {rate}")


class _Count(ProgressColumn):
    """The number of finished images, once the total is known."""

    def render(self, task: Task) -> Text:
        """Return done/total."""
        return Text(_count(task), style="progress.download")


class _Rate(ProgressColumn):
    """The number of images per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(_rate(speed or 0.0), style="progress.data.speed")


class _Elapsed(ProgressColumn):
    """The time since the stage began."""

    def render(self, task: Task) -> Text:
        """Return whole seconds."""
        return Text(f"{task.elapsed or 0:,.0f} s", style="progress.elapsed")


def _rate(speed: float) -> str:
    return f"{speed:,.0f}/s" if speed >= _MIN_RATE else ""


def _pace(task: Task) -> tuple[str, str]:
    """Return the rate and the remaining time, as far as they are known."""
    left = task.time_remaining
    return _rate(task.speed or 0.0), f"{timedelta(seconds=left)} left" if left else ""


def _count(task: Task) -> str:
    return "" if task.total is None else f"{task.completed:,.0f}/{task.total:,.0f}"


@contextmanager
def _in_notebook(stage: _Stage) -> Iterator[None]:
    """Show the bar as output of the notebook's cell; its last state is the summary.

    Rich's own live display needs ipywidgets.
    """
    from IPython.display import display

    shown = display(stage.bars, display_id=True)
    with _every(TICK, lambda: shown.update(stage.bars)):
        yield
    shown.update(stage.summary())


@contextmanager
def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call a function again and again, on another thread, while the block runs."""
    finished = Event()

    def repeat() -> None:
        while not finished.wait(seconds):
            act()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
