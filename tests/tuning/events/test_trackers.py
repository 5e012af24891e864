"""TensorBoard and MLflow have each step of a training once."""

import pytest

from headstart.errors import OptionError
from headstart.tuning.events.listeners import check_listeners, listeners
from tests.tuning.events.trainings import train


def scalars(folder):
    """Return the steps of each scalar that TensorBoard reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [point.step for point in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_shows_each_step_of_a_resumed_training_once(tmp_path):
    """Points that the killed process wrote after its checkpoint are hidden."""
    for first, last in ((1, 17), (13, 20)):
        with listeners(["tensorboard"], tmp_path, first - 1) as listener:
            train(listener, first, last)
    found = scalars(tmp_path)
    assert found["step/loss"] == found["step/learning_rate"] == list(range(1, 21))
    assert found["epoch/val_accuracy"] == found["epoch/train_loss"] == [10, 20]


@pytest.fixture
def client(tmp_path, monkeypatch):
    """MLflow with a store in a folder, without telemetry."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    import mlflow

    return mlflow.MlflowClient()


def runs(client):
    """Return the runs of trainings."""
    experiment = client.get_experiment_by_name("headstart")
    return client.search_runs([experiment.experiment_id])


def sent(client, run, name):
    """Return the steps of a metric."""
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


def test_mlflow_has_each_step_of_a_resumed_training_once(client, tmp_path):
    """Training continues in the same run, and earlier points are not sent again."""
    with listeners(["mlflow"], tmp_path / "solar", 0) as listener:
        train(listener, 1, 17)
    with listeners(["mlflow"], tmp_path / "solar", 12) as listener:
        train(listener, 13, 30)
    (run,) = runs(client)
    assert run.info.run_name == "solar" and run.info.status == "FINISHED"
    assert sent(client, run, "step/loss") == list(range(1, 31))
    assert sent(client, run, "epoch/val_loss") == [10, 20, 30]


def test_an_interrupted_training_is_marked_as_killed_in_mlflow(client, tmp_path):
    """Metrics so far are saved, and the run is not marked as finished."""
    with pytest.raises(KeyboardInterrupt), listeners(["mlflow"], tmp_path / "solar", 0) as listener:
        train(listener, 1, 3)
        raise KeyboardInterrupt
    (run,) = runs(client)
    assert run.info.status == "KILLED" and sent(client, run, "step/loss") == [1, 2, 3]


def test_a_new_training_is_a_new_mlflow_run(client, tmp_path):
    """Two trainings of the same images can be compared."""
    for _ in range(2):
        with listeners(["mlflow"], tmp_path / "solar", 0) as listener:
            train(listener, 1, 3)
    assert len(runs(client)) == 2


def test_a_run_that_the_server_has_lost_is_created_again(client, tmp_path):
    """A training can be resumed after the MLflow store was cleared."""
    warnings = []
    (tmp_path / "solar").mkdir()
    (tmp_path / "solar" / "mlflow-run").write_text("0" * 32)
    with listeners(["mlflow"], tmp_path / "solar", 5, warn=warnings.append) as listener:
        train(listener, 6, 8)
    (run,) = runs(client)
    assert not warnings and sent(client, run, "step/loss") == [6, 7, 8]


def test_mlflow_without_a_server_is_an_error(client, monkeypatch):
    """Without a server, MLflow would create a database in the current folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(OptionError) as caught:
        check_listeners(["mlflow"])
    assert str(caught.value) == (
        "No MLflow server is set. Set MLFLOW_TRACKING_URI, for example to http://localhost:5000."
    )
