"""What the terminal shows: stages, warnings and tables. Everything but results goes to stderr."""

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

from headstart.watching import Progress as Advance


class _Count(ProgressColumn):
    """How many images are done, once it is known how many there are."""

    def render(self, task: Task) -> Text:
        """Return done/total."""
        known = task.total is not None
        text = f"{task.completed:,.0f}/{task.total:,.0f}" if known else ""
        return Text(text, style="progress.download")


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Terminal:
    """Shows a bar with rate and time left for each stage, and a line when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[str] = set()

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
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
                count += done if done < last else done - last  # A stage may count anew in parts.
                last = done
                bars.update(task, completed=done, total=total)

            yield advance
        seconds = time.perf_counter() - begin
        images = f"  {count:,} images, {count / seconds:,.0f}/s" if count else ""
        line = Text("✓ ", style="green").append(f"{name:<22}", style="default")
        self._console.print(line.append(f"{seconds:6.1f} s{images}", style="dim"))

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        if text not in self._said:
            self._said.add(text)
            self._console.print(Text("! ", style="bold yellow").append(text, style="yellow"))
