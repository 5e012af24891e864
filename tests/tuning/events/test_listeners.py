"""Listeners receive events, and a listener that fails does not stop a training."""

import os
import sys

import pytest

from headstart.errors import OptionError
from headstart.tuning.events.listeners import check_listeners, listeners
from tests.tuning.events.test_trackers import scalars
from tests.tuning.events.trainings import steps, train


def test_a_failing_listener_is_reported_once_and_the_others_continue(tmp_path):
    """A full disk does not stop a training."""
    warnings = []
    with listeners(["events", "tensorboard"], tmp_path, 0, warn=warnings.append) as listener:
        train(listener, 1, 5)
        fill_disk(listener._listeners[f"'{tmp_path / 'events.jsonl'}'"]._file)
        train(listener, 6, 20)
    path = tmp_path / "events.jsonl"
    (warning,) = warnings
    assert warning == (
        f"Events are no longer sent to '{path}': No space left on device. "
        "Training continues without it."
    )
    assert steps(path) == [1, 2, 3, 4, 5]
    assert scalars(tmp_path)["step/loss"] == list(range(1, 21))


def fill_disk(file):
    """Redirect an open file to a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file.fileno())
    os.close(full)


def test_a_listener_that_cannot_be_opened_is_reported_and_skipped(tmp_path):
    """A folder that cannot be written to does not stop a training."""
    warnings = []
    (tmp_path / "run").write_text("a file")
    with listeners(["events"], tmp_path / "run", 0, warn=warnings.append) as listener:
        train(listener, 1, 3)
    path = tmp_path / "run" / "events.jsonl"
    assert warnings == [
        f"Events are no longer sent to '{path}': File exists. Training continues without it."
    ]


def test_without_listeners_nothing_is_written(tmp_path):
    """No files are created."""
    with listeners([], tmp_path, 0) as listener:
        train(listener, 1, 20)
    assert not list(tmp_path.iterdir())


def test_an_unknown_listener_is_an_error():
    """The nearest name is suggested."""
    with pytest.raises(OptionError) as caught:
        check_listeners(["tensorbord"])
    assert str(caught.value) == ("Unknown listener 'tensorbord'. Did you mean 'tensorboard'?")


@pytest.mark.parametrize(("module", "name"), [("tensorboard", "TensorBoard"), ("mlflow", "MLflow")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, module, name):
    """The error has the command that installs it."""
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OptionError) as caught:
        check_listeners([module])
    assert str(caught.value) == f"{name} is not installed. Run: pip install 'headstart[{module}]'"
