"""A killed or interrupted training leaves no partial run and does not affect the next one."""

import os
import signal
from pathlib import Path

import pytest

import headstart as hs
from tests.conftest import TINY
from tests.integration.kill_and_resume import kill_and_resume, make_photos, start
from tests.processes import wait_for


def test_killed_trainings_resume(tmp_path: Path) -> None:
    """After two kill -9 at random moments, the next training gives the same predictions."""
    kills = kill_and_resume(2, tmp_path, images=120)
    assert [kill.same for kill in kills] == [True, True]
    assert any(kill.running for kill in kills)


@pytest.mark.parametrize("stage", ["Checking images", "Extracting features"])
def test_an_interrupted_training_leaves_no_partial_run(tmp_path: Path, stage: str) -> None:
    """Ctrl-C exits with 130 and says how to continue, leaves no files, and the next run does."""
    photos = make_photos(tmp_path / "photos", 120)
    (tmp_path / "runs").mkdir()
    log = tmp_path / "log"
    process = start(photos, tmp_path / "runs/run", tmp_path / "cache", log)
    wait_for(process, log, stage)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    lines = log.read_text().splitlines()
    printed = [line for line in lines if not line.startswith(("✓", "·", "…", "!"))]
    assert process.exitcode == 130
    message, again = (line for line in printed if line)
    assert message == "Interrupted. Everything computed so far is kept."
    assert again.startswith(f"To continue: headstart train {photos} --out={tmp_path / 'runs/run'}")
    assert list((tmp_path / "runs").iterdir()) == []
    options = {"backbone": TINY, "weights": "random", "image_size": 64, "head": "nearest"}
    result = hs.train(photos, out=tmp_path / "runs/run", cache=tmp_path / "cache", **options)
    assert result.record.test.accuracy == 1.0
