"""Progress and warnings in the terminal, on stderr; stdout is for results."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

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


class _Count(ProgressColumn):
    """The number of finished images, once the total is known."""

    def render(self, task: Task) -> Text:
        """Return done/total."""
        known = task.total is not None
        text = f"{task.completed:,.0f}/{task.total:,.0f}" if known else ""
        return Text(text, style="progress.download")


class _Rate(ProgressColumn):
    """The number of images per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Terminal:
    """A watcher that shows a progress bar for each stage and one line when it is done.

    The bar has the rate and the remaining time.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressCallback]:
        """See `Watcher.stage`."""
        begin, count, last = time.perf_counter(), 0, 0
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            _Count(),
            _Rate(),
            TimeRemainingColumn(compact=True),
        )
        quiet = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=quiet) as bars:
            task = bars.add_task(name, total=None)

            def advance(done: int, total: int) -> None:
                nonlocal count, last
                count += (
                    done if done < last else done - last
                )  # A stage in parts restarts its count.
                last = done
                bars.update(task, completed=done, total=total)

            yield advance
        seconds = time.perf_counter() - begin
        images = (
            f"  {count:,} image{'s' if count > 1 else ''}, {count / seconds:,.0f}/s"
            if count
            else ""
        )
        line = Text("✓ ", style="green").append(f"{name:<22}", style="default")
        self._console.print(line.append(f"{seconds:6.1f} s{images}", style="dim"))

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self._console.print(Text("· ", style="green").append(text, style="default"))

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        if text not in self._printed:
            self._printed.add(text)
            self._console.print(Text("! ", style="bold yellow").append(text, style="yellow"))
