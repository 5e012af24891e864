"""The command line, called in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headstart.cli import main
from tests.conftest import TINY

QUICK = ("--backbone", TINY, "--weights", "random", "--image-size", "64", "--head", "linear")
QUICK = (*QUICK, "--features", "last")


@dataclass(frozen=True)
class Done:
    """What a command left behind: its exit status and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line of stderr."""
        return (self.err.splitlines() or [""])[-1]


@pytest.fixture
def headstart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Give a function that runs the command line on a terminal 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: Any) -> Done:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def train(headstart: Callable[..., Done], tmp_path: Path) -> Callable[..., Done]:
    """Give a function that runs a quick training with a cache of this test."""

    def run(data: Any, *more: Any) -> Done:
        return headstart("train", data, *QUICK, "--cache", tmp_path / "cache", *more)

    return run
