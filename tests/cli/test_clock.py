"""When a command began."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.cli import clock
from headstart.cli.clock import process_start

CODE = """
import time
time.sleep(0.5)
from headstart.cli.clock import process_start
print(time.perf_counter() - process_start())
"""


def test_time_counts_from_the_start_of_the_process() -> None:
    """What a process did before its first look at the clock is counted, and nothing before it."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert 0.45 < float(done.stdout) < time.perf_counter() - begin + 0.05


@pytest.mark.parametrize("text", [None, "", "1 (python) S 1"])
def test_a_system_that_cannot_tell(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Linux's status file, or with another one, time counts from now."""
    monkeypatch.setattr(clock, "_STATUS", tmp_path / "stat")
    if text is not None:
        (tmp_path / "stat").write_text(text)
    begin = time.perf_counter()
    assert begin <= process_start() <= time.perf_counter()
