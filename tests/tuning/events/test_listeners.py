"""Who receives events, and that a listener that fails does not end a training."""

import os
import sys

import pytest

from headstart.errors import OptionError
from headstart.tuning.events.listeners import listeners, require_listeners
from tests.tuning.events.test_trackers import scalars
from tests.tuning.events.trainings import steps, train


def test_one_that_fails_is_said_once_and_the_others_go_on(tmp_path):
    """A full disk ends no training."""
    said = []
    with listeners(["events", "tensorboard"], tmp_path, 0, warn=said.append) as listener:
        train(listener, 1, 5)
        fill_disk(listener._listening[f"'{tmp_path / 'events.jsonl'}'"]._file)
        train(listener, 6, 20)
    path = tmp_path / "events.jsonl"
    assert said == [
        f"Events no longer go to '{path}': No space left on device. Training goes on without it."
    ]
    assert steps(path) == [1, 2, 3, 4, 5]
    assert scalars(tmp_path)["step/loss"] == list(range(1, 21))


def fill_disk(file):
    """Let an open file be on a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file.fileno())
    os.close(full)


def test_one_that_cannot_be_opened_is_said_and_left_out(tmp_path):
    """Neither does a folder that cannot be written to."""
    said = []
    (tmp_path / "run").write_text("a file")
    with listeners(["events"], tmp_path / "run", 0, warn=said.append) as listener:
        train(listener, 1, 3)
    path = tmp_path / "run" / "events.jsonl"
    assert said == [f"Events no longer go to '{path}': File exists. Training goes on without it."]


def test_without_listeners_nothing_is_written(tmp_path):
    """Without a name nothing is written."""
    with listeners([], tmp_path, 0) as listener:
        train(listener, 1, 20)
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_refused():
    """The nearest one is suggested."""
    with pytest.raises(OptionError) as caught:
        require_listeners(["tensorbord"])
    assert str(caught.value) == (
        "Nothing called 'tensorbord' can be told of events. Did you mean 'tensorboard'?"
    )


@pytest.mark.parametrize(("module", "name"), [("tensorboard", "TensorBoard"), ("mlflow", "MLflow")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, module, name):
    """It is said before any work is done, with the command that installs it."""
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OptionError) as caught:
        require_listeners([module])
    assert str(caught.value) == f"{name} is not installed. Run: pip install 'headstart[{module}]'"
