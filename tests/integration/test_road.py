"""The example for boxes: from labelled scenes to a detector."""

import runpy
import sys
from functools import partial
from pathlib import Path

import pytest

import headstart as hs
from tests.conftest import TINY
from tests.detection.scenes import scenes, write_yolo

ROOT = Path(__file__).parents[2]
QUICK = {"backbone": TINY, "weights": "random", "image_size": 64, "epochs": 2, "views": 2}


def test_the_example_trains_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the metrics by class, and where the report is."""
    write_yolo(tmp_path / "scenes", scenes(16))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["road.py", "scenes"])
    monkeypatch.setattr(hs, "train", partial(hs.train, cache=tmp_path / "cache", **QUICK))
    runpy.run_path(str(ROOT / "examples" / "road.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "mAP50" in printed and "disc" in printed and "square" in printed
    assert f"Report: {Path('runs/scenes/report.html')}" in printed
    detector = hs.load("runs/scenes")
    assert detector.thresholds.purpose == "recall=0.9"
