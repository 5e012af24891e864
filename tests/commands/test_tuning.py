"""Fine-tuning by the train command."""

from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.errors import OptionError
from tests.commands.conftest import QUICK
from tests.commands.test_train import Notes

SHORT: dict[str, Any] = {"epochs": 1, "views": 2, "batch_size": 8}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Options of a training that is tuned in a moment."""
    return QUICK | SHORT | {"cache": tmp_path / "cache", "out": tmp_path / "run"}


def test_a_tuned_run_tells_what_came_of_it(make_folder: Any, options: dict[str, Any]) -> None:
    """Both models are reported on the same held-out images, whichever is kept."""
    result = hs.train(make_folder(count=20), tune="stages:1", **options)
    told = result.metrics["tuning"]
    assert told["part"] == "stages:1"
    assert (result.metrics["tuned"] == "stages:1") == told["kept"]
    assert len(told["epochs"]) == 1
    assert 0 <= told["probe_accuracy"] <= 1 and 0 <= told["tuned_accuracy"] <= 1
    assert result.metrics["seconds"]["tune"] > 0
    assert "Was fine-tuning worth it?" in (result.run / "report.html").read_text()


def test_what_does_not_help_is_said(
    make_folder: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen model stays, with both numbers in a warning."""
    monkeypatch.setattr("headstart.classifier.surely_better", lambda new, old: False)
    notes = Notes()
    result = hs.train(make_folder(count=20), tune="stages:1", watcher=notes, **options)
    assert result.metrics["tuned"] is None
    assert any("not better by more than noise" in warning for warning in notes.warnings)


def test_auto_plans_by_the_minutes(make_folder: Any, options: dict[str, Any]) -> None:
    """With time there is a part that fits, without there is none; each cost is told."""
    notes = Notes()
    folder = make_folder(count=20)
    result = hs.train(folder, tune="auto", minutes=5.0, watcher=notes, **options)
    assert result.metrics["tuning"]["part"].startswith("stages:")
    assert any("would take about" in warning for warning in notes.warnings)
    options |= {"out": options["out"].with_name("other")}
    result = hs.train(folder, tune="auto", minutes=1e-6, watcher=notes, **options)
    assert result.metrics["tuning"] is None
    assert any("it stays frozen" in warning for warning in notes.warnings)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"tune": "blocks:1"}, "tune"),
        ({"tune": "layers:-1"}, "tune"),
        ({"epochs": 0}, "epochs"),
        ({"minutes": 0.0}, "minutes"),
        ({"views": 1_000_000}, "views"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, wrong: dict[str, Any], text: str) -> None:
    """Each is told before any work is done."""
    with pytest.raises(OptionError, match=f"Option '{text}' cannot be"):
        hs.train(tmp_path, **wrong)
