"""Processes that tests kill, interrupt, or let work at the same time.

A server that has imported the slow libraries forks them, as importing takes longer than most tests.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from headstart.cli import main

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["headstart.commands.train", "headstart.server.app", "onnxruntime", __name__]
)


def start_command(*arguments: object, log: Path) -> BaseProcess:
    """Start `headstart` with arguments, and write what it prints to a file."""
    return start(main, [str(word) for word in arguments], log=log)


def start(work: Callable[..., None], *arguments: Any, log: Path) -> BaseProcess:
    """Start a function of a module, and write what it prints to a file."""
    process = PROCESSES.Process(target=_run, args=(work, arguments, log))
    process.start()
    return process


def _run(work: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # The background ignores Ctrl-C.
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.dup2(sys.stdin.fileno(), 0)
    sys.stdin = os.fdopen(0)  # The workers of a server take it over by its number.
    work(*arguments)


def wait_for(process: BaseProcess, log: Path, text: str) -> None:
    """Wait until a process has written a text to its log."""
    while not log.exists() or text not in log.read_text():
        assert process.is_alive(), log.read_text()
        time.sleep(0.002)


def run_python(
    command: Sequence[str], *, cwd: Path | None = None, **_: Any
) -> "CompletedProcess[str]":
    """Run `python -I` with a script or `-c` and a program, as `subprocess.run` does."""
    _, _, *words = command
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / name for name in ("out", "err")]
        process = PROCESSES.Process(target=_run_python, args=(words, cwd or Path.cwd(), logs))
        process.start()
        process.join()
        assert process.exitcode is not None
        return CompletedProcess(command, process.exitcode, *(log.read_text() for log in logs))


def _run_python(words: Sequence[str], folder: Path, logs: Sequence[Path]) -> None:
    for stream, log in enumerate(logs, start=1):
        with log.open("wb") as file:
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    if words[0] == "-c":
        _, program, *words = words
        sys.argv = ["-c", *words]
        exec(program, {"__name__": "__main__"})
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")
