"""The event file: its content, without duplicates."""

import json
import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.tuning.events.events import EventFile, recorded
from headstart.tuning.events.listeners import listeners
from tests.tuning.events.trainings import epoch, lines, step, steps, train


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_numbers_are_null(tmp_path, value):
    """NaN and infinity are not valid JSON."""
    with listeners(["events"], tmp_path, 0) as listener:
        listener.step(step(1, loss=value))
    assert lines(tmp_path / "events.jsonl")[0]["loss"] is None


@given(killed=st.integers(0, 35), saved=st.integers(0, 35), torn=st.integers(0, 80))
def test_a_resumed_training_has_each_step_once(tmp_path_factory, killed, saved, torn):
    """This holds wherever it was killed and however much was lost."""
    saved = min(saved, killed)
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    file = EventFile(path)
    train(file, 1, killed)
    file.close()
    content = path.read_bytes()
    # Anything written after the checkpoint may be missing.
    kept = sum(len(line) for line in content.splitlines(True) if json.loads(line)["step"] <= saved)
    path.write_bytes(content[: max(kept, len(content) - torn)])
    again = EventFile(path, resumed_step=saved)
    train(again, saved + 1, 40)
    again.close()
    assert steps(path) == list(range(1, 41))
    assert sorted(set(steps(path, "epoch"))) == steps(path, "epoch") == [10, 20, 30, 40]
    assert [file.name for file in path.parent.iterdir()] == ["events.jsonl"]


def test_each_event_is_written_at_once(tmp_path):
    """An event can be read from the file as soon as it happens."""
    with listeners(["events"], tmp_path, 0) as listener:
        listener.step(step(1))
        listener.epoch(epoch(1))
        first, second = lines(tmp_path / "events.jsonl")
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {"event": "step", "step": 1, "epoch": 1, "loss": 0.5, "learning_rate": 2e-4}
    assert second["event"] == "epoch" and second["val_loss"] == 0.4 and second["step"] == 10


def test_a_new_training_starts_with_an_empty_file(tmp_path):
    """Events of an earlier training are removed."""
    for last in (20, 3):
        with listeners(["events"], tmp_path, 0) as listener:
            train(listener, 1, last)
    assert steps(tmp_path / "events.jsonl") == [1, 2, 3]


def test_values_not_measured_are_none_in_the_record():
    """Events have NaN for plots, records have None."""
    kept = recorded(epoch(1, val_loss=math.nan))
    assert kept.val_loss is None and kept.train_loss == epoch(1).train_loss
