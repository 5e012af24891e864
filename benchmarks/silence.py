"""How long a training on solar cells is silent, in a terminal and in a log, with a cold cache.

python -m benchmarks.silence [OPTION OF train ...]
"""

import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells

COMMAND = (sys.executable, "-c", "from headstart.cli import main; main()", "train")


def times_of_output(command: list[str], *, terminal: bool) -> list[float]:
    """Run a command, and return the seconds from its start to each of its outputs and its end.

    Args:
        command: What to run.
        terminal: Whether its output is a terminal, or a pipe.
    """
    ours, its = pty.openpty() if terminal else os.pipe()
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=its, stderr=its, stdin=subprocess.DEVNULL):
        os.close(its)
        times = [time.perf_counter() - begin for _ in outputs(ours)]
    os.close(ours)
    return [*times, time.perf_counter() - begin]


def outputs(stream: int) -> Iterator[bytes]:
    """Yield what is written to a stream, when it is written."""
    try:
        while output := os.read(stream, 65_536):
            yield output
    except OSError:  # A terminal is closed with an error.
        return


def main(options: list[str]) -> None:
    """Measure both kinds of output."""
    print(describe())
    print("| output | first after | longest silence | total |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        table = write_solar_cells(Path(folder))
        for terminal in (True, False):
            place = Path(folder) / ("terminal" if terminal else "log")
            paths = [str(table), "--out", f"{place}/run", "--cache", f"{place}/cache"]
            times = times_of_output([*COMMAND, *paths, *options], terminal=terminal)
            longest = max(after - before for before, after in pairwise([0.0, *times]))
            print(f"| {place.name} | {times[0]:.2f} s | {longest:.1f} s | {times[-1]:.0f} s |")


if __name__ == "__main__":
    main(sys.argv[1:])
