"""Fixtures that run the command line in this process."""

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
class Completed:
    """The exit status and the output of a command."""

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
) -> Callable[..., Completed]:
    """Return a function that runs the command line on a terminal 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: Any) -> Completed:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Completed(caught.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def train(headstart: Callable[..., Completed], tmp_path: Path) -> Callable[..., Completed]:
    """Return a function that runs a quick training with a cache for this test."""

    def run(data: Any, *options: Any) -> Completed:
        return headstart("train", data, *QUICK, "--cache", tmp_path / "cache", *options)

    return run
