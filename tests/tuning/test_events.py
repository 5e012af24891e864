"""Events: what is written, that nothing is written twice, and that failure is survived."""

import json
import math
import os
import sys
from datetime import datetime

import pytest
from headstart.tuning.listeners import listeners, require_listeners
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.tuning.events import EpochEvent, EventFile, StepEvent


def step(number, loss=0.5):
    """Give a step; ten make an epoch."""
    return StepEvent(number, (number - 1) // 10 + 1, loss, 2e-4)


def epoch(number, val_loss=0.4):
    """Give an epoch of ten steps."""
    return EpochEvent(10 * number, number, 0.6, val_loss, 0.9, 1e-4, 3.5)


def train(listener, first, last):
    """Tell of the steps of a training, and of the epochs between them."""
    for number in range(first, last + 1):
        listener.step(step(number))
        if number % 10 == 0:
            listener.epoch(epoch(number // 10))


def lines(path):
    """Read the file back."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(path, kind="step"):
    """Give the steps that are in the file."""
    return [line["step"] for line in lines(path) if line["event"] == kind]


def test_each_event_is_a_line_that_can_be_read_at_once(tmp_path):
    """Whoever follows the file sees an event when it happens, not when the training ends."""
    with listeners(["events"], tmp_path, 0) as told:
        told.step(step(1))
        told.epoch(epoch(1))
        first, second = lines(tmp_path / "events.jsonl")
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {"event": "step", "step": 1, "epoch": 1, "loss": 0.5, "learning_rate": 2e-4}
    assert second["event"] == "epoch" and second["val_loss"] == 0.4 and second["step"] == 10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_does_not_have_is_null(tmp_path, value):
    """Readers other than Python's refuse NaN."""
    with listeners(["events"], tmp_path, 0) as told:
        told.step(step(1, loss=value))
    assert lines(tmp_path / "events.jsonl")[0]["loss"] is None


@given(killed=st.integers(0, 35), saved=st.integers(0, 35), torn=st.integers(0, 80))
def test_a_resumed_training_holds_each_step_once(tmp_path_factory, killed, saved, torn):
    """Wherever it was killed and whatever the last line lost."""
    saved = min(saved, killed)
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    file = EventFile(path)
    train(file, 1, killed)
    file.close()
    content = path.read_bytes()
    # Of what was written after the checkpoint, anything may be missing.
    kept = sum(len(line) for line in content.splitlines(True) if json.loads(line)["step"] <= saved)
    path.write_bytes(content[: max(kept, len(content) - torn)])
    again = EventFile(path, resumed_step=saved)
    train(again, saved + 1, 40)
    again.close()
    assert steps(path) == list(range(1, 41))
    assert sorted(set(steps(path, "epoch"))) == steps(path, "epoch") == [10, 20, 30, 40]
    assert [one.name for one in path.parent.iterdir()] == ["events.jsonl"]


def test_a_new_training_begins_an_empty_file(tmp_path):
    """Events of the training before it are not mixed with its own."""
    for last in (20, 3):
        with listeners(["events"], tmp_path, 0) as told:
            train(told, 1, last)
    assert steps(tmp_path / "events.jsonl") == [1, 2, 3]


def test_one_that_fails_is_said_once_and_the_others_go_on(tmp_path):
    """A full disk ends no training."""
    said = []
    with listeners(["events", "tensorboard"], tmp_path, 0, warn=said.append) as told:
        train(told, 1, 5)
        fill_disk(told._listening[f"'{tmp_path / 'events.jsonl'}'"]._file)
        train(told, 6, 20)
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
    with listeners(["events"], tmp_path / "run", 0, warn=said.append) as told:
        train(told, 1, 3)
    path = tmp_path / "run" / "events.jsonl"
    assert said == [f"Events no longer go to '{path}': File exists. Training goes on without it."]


def test_nobody_may_listen(tmp_path):
    """Without a name nothing is written."""
    with listeners([], tmp_path, 0) as told:
        train(told, 1, 20)
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


def scalars(folder):
    """Give the steps of each scalar as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [one.step for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_shows_each_step_of_a_resumed_training_once(tmp_path):
    """What the killed process wrote after its checkpoint is hidden."""
    for first, last in ((1, 17), (13, 20)):
        with listeners(["tensorboard"], tmp_path, first - 1) as told:
            train(told, first, last)
    found = scalars(tmp_path)
    assert found["step/loss"] == found["step/learning_rate"] == list(range(1, 21))
    assert found["epoch/val_accuracy"] == found["epoch/train_loss"] == [10, 20]


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Give MLflow with a store in a folder, which tells nobody."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    import mlflow

    return mlflow.MlflowClient()


def runs(client):
    """Give the runs of trainings."""
    experiment = client.get_experiment_by_name("headstart")
    return client.search_runs([experiment.experiment_id])


def sent(client, run, name):
    """Give the steps of a metric."""
    return [one.step for one in client.get_metric_history(run.info.run_id, name)]


def test_mlflow_holds_each_step_of_a_resumed_training_once(client, tmp_path):
    """It goes on in the same run; points that came before are not sent again."""
    with listeners(["mlflow"], tmp_path / "solar", 0) as told:
        train(told, 1, 17)
    with listeners(["mlflow"], tmp_path / "solar", 12) as told:
        train(told, 13, 30)
    (run,) = runs(client)
    assert run.info.run_name == "solar" and run.info.status == "FINISHED"
    assert sent(client, run, "step/loss") == list(range(1, 31))
    assert sent(client, run, "epoch/val_loss") == [10, 20, 30]


def test_mlflow_is_told_that_a_training_was_broken_off(client, tmp_path):
    """What was learnt until then is there, and the run does not pass for finished."""
    with pytest.raises(KeyboardInterrupt), listeners(["mlflow"], tmp_path / "solar", 0) as told:
        train(told, 1, 3)
        raise KeyboardInterrupt
    (run,) = runs(client)
    assert run.info.status == "KILLED" and sent(client, run, "step/loss") == [1, 2, 3]


def test_a_new_training_is_a_new_mlflow_run(client, tmp_path):
    """Two trainings of the same images can be compared."""
    for _ in range(2):
        with listeners(["mlflow"], tmp_path / "solar", 0) as told:
            train(told, 1, 3)
    assert len(runs(client)) == 2


def test_a_run_that_the_server_has_lost_is_made_anew(client, tmp_path):
    """A resumed training is not stopped by a store that was cleared."""
    said = []
    (tmp_path / "solar").mkdir()
    (tmp_path / "solar" / "mlflow-run").write_text("0" * 32)
    with listeners(["mlflow"], tmp_path / "solar", 5, warn=said.append) as told:
        train(told, 6, 8)
    (run,) = runs(client)
    assert not said and sent(client, run, "step/loss") == [6, 7, 8]


def test_mlflow_without_a_server_is_refused(client, monkeypatch):
    """MLflow alone would start a database in the folder that the user stands in."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(OptionError) as caught:
        require_listeners(["mlflow"])
    assert str(caught.value) == (
        "No MLflow server is set. Set MLFLOW_TRACKING_URI, for example to http://localhost:5000."
    )
