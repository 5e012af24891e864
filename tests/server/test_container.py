"""The container's commands, as far as they run without a container engine."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Client, Trained

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"

pytestmark = pytest.mark.skipif(not DOCKERFILE.exists(), reason="These tests need the sources.")


def command(instruction: str) -> list[str]:
    """Return the last command of an instruction, such as CMD."""
    lines = re.findall(rf"^{instruction} .*?(\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    return json.loads(lines[-1])


def test_what_the_container_runs_serves_a_folder_of_models(
    trained: Trained, tmp_path: Path
) -> None:
    shutil.copytree(trained.run, tmp_path / "models" / "colours")
    places = {"/models": str(tmp_path / "models"), "/cache": str(trained.cache), "8000": "0"}
    asked = [places.get(word, word) for word in command("ENTRYPOINT")[1:] + command("CMD")]
    with (tmp_path / "log").open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "headstart", *asked], stdout=file, stderr=file
        )
    try:
        port = _port(child, tmp_path / "log")
        check = [
            sys.executable,
            *(word.replace("8000", str(port)) for word in command("HEALTHCHECK")[1:]),
        ]
        for _ in range(600):
            if subprocess.run(check, check=False, capture_output=True).returncode == 0:
                break
        (data,) = trained.files(1).values()
        assert Client(port).post("/predict", data).json[0]["label"] == "blue"
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) in (0, -signal.SIGTERM)
    finally:
        child.kill()
        child.wait()


def _port(child: subprocess.Popen, log: Path) -> int:
    while child.poll() is None:
        if found := re.search(r"http://[^ ]*?:(\d+)\n", log.read_text()):
            return int(found[1])
    raise AssertionError(log.read_text())


def test_the_container_does_not_run_as_root_and_copies_only_what_it_needs() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    assert lines.index("USER headstart") < lines.index(
        next(line for line in lines if line.startswith("ENTRYPOINT"))
    )
    (copied,) = [line for line in lines if line.startswith("COPY pyproject")]
    for name in (*copied.split()[1:-1], "src"):
        assert (ROOT / name).exists()
        assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()
