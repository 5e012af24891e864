"""A training that was cut off goes on as if nothing had happened, or refuses to."""

import json

import numpy as np
import pytest
import torch

from headstart.errors import TuningError
from headstart.tuning.pacing.session import exclusive
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import read_checkpoint
from tests.tuning.conftest import QUICK, at_step, changed, state


class Killed(BaseException):
    """Ends a training as a kill would: nothing catches it."""


def killed(model, data, folder, step):
    """Train until a step of the first round."""

    def kill():
        raise Killed

    with pytest.raises(Killed):
        model.fine_tune(
            data.train,
            checkpoints=folder,
            progress=at_step(step, data, kill),
            keep="always",
            **QUICK,
        )


@pytest.fixture
def _same_way(monkeypatch):
    """What timing finds fastest may differ between two runs that both start anew."""
    way = Setting(threads=torch.get_num_threads())
    monkeypatch.setattr("headstart.tuning.workbench.candidates", lambda **options: [way])


@pytest.fixture(scope="module")
def calm(linear, data, tmp_path_factory):
    """The weights and the head of an undisturbed run."""
    import copy

    model = copy.copy(linear)
    way = Setting(threads=torch.get_num_threads())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.held_out.ALL_FOLDS", 0)
        patch.setattr("headstart.tuning.workbench.candidates", lambda **options: [way])
        folder = tmp_path_factory.mktemp("calm")
        model.fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)
    return state(model), model.predictor.head


@pytest.mark.usefixtures("_same_way")
@pytest.mark.parametrize("step", [1, 5, 7, 9])
def test_a_killed_training_ends_with_the_same_weights(
    make, data, tmp_path, monkeypatch, calm, step
):
    """Resumed in the middle of an epoch, the weights are those of an undisturbed run."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    again = make()
    killed(make(), data, tmp_path, step)
    again.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **QUICK)
    weights, head = calm
    assert not changed(weights, state(again))
    np.testing.assert_array_equal(head.weight, again.predictor.head.weight)


def test_a_training_that_is_cut_off_leaves_the_model_as_it_was(model, data, tmp_path):
    """Whatever ends it, weights and predictions are those of before, and nothing learns."""
    predicted, before = model.probabilities_of(data.test), state(model)
    killed(model, data, tmp_path, 3)
    assert not changed(before, state(model))
    assert not any(one.requires_grad for one in model.backbone.parameters())
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_a_checkpoint_with_a_flipped_byte(model, data, tmp_path):
    """The one before it is used, and that is said."""
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    folder = tmp_path / "state" / "round-0"
    newest = json.loads((folder / "checkpoint.json").read_text())
    file = folder / newest["tensors"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found, problem = read_checkpoint(folder)
    assert found is not None and found.state["number"] == newest["number"] - 1
    assert "is damaged; the one before is used" in problem


@pytest.fixture(scope="module")
def trained_before(linear, data, tmp_path_factory):
    """A folder of checkpoints of a finished training, not to be changed."""
    import copy

    folder = tmp_path_factory.mktemp("before") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.held_out.ALL_FOLDS", 0)
        copy.copy(linear).fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)
    return folder


def test_resuming_with_other_options_lists_what_differs(model, data, trained_before):
    """The error names the option, what it was and what it is."""
    with pytest.raises(TuningError, match="views was 2, is 1"):
        model.fine_tune(data.train, checkpoints=trained_before, resume=True, **QUICK | {"views": 1})


def test_resuming_with_another_version_is_refused(model, data, trained_before, monkeypatch):
    """What an older version left may mean something else."""
    monkeypatch.setattr("headstart.tuning.workbench.version", lambda name: "0.2.0")
    with pytest.raises(TuningError, match=r"headstart was .*, is '0\.2\.0'"):
        model.fine_tune(data.train, checkpoints=trained_before, resume=True, **QUICK)


def test_going_on_with_another_part_is_refused(model, data, trained_before):
    """The part that is asked for counts, not the one that was trained before."""
    options = QUICK | {"unfreeze": "stages:2", "resume": True}
    with pytest.raises(TuningError, match="part was 'stages:1', is 'stages:2'"):
        model.fine_tune(data.train, checkpoints=trained_before, **options)


def test_what_was_timed_is_not_timed_again_on_resuming(make, data, tmp_path, monkeypatch):
    """A resumed training takes its steps as the first one did, whatever is faster now."""
    first, again = make(), make()
    first.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    monkeypatch.setattr("headstart.tuning.workbench.fastest", None)
    record = again.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, keep="always", **QUICK
    )
    assert not changed(state(first), state(again))
    assert record.setting.name


def test_starting_anew_forgets_what_was_there(make, data, tmp_path):
    """Without resume, other options are no obstacle and nothing old is gone on from."""
    make().fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    record = make().fine_tune(
        data.train, checkpoints=tmp_path / "state", keep="always", **(QUICK | {"epochs": 1})
    )
    assert len(record.epochs) == 1
    events = (tmp_path / "state" / "round-0" / "events.jsonl").read_text().splitlines()
    assert sum('"event": "epoch"' in line for line in events) == 1


def test_resuming_nothing_starts_anew_and_says_so(model, data, tmp_path):
    """A folder without a training is no error."""
    said = []
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, warn=said.append, **QUICK
    )
    assert record
    assert any("to go on with, so it starts anew" in text for text in said)


def test_two_trainings_in_one_folder_are_refused(make, data, tmp_path):
    """The second is told, and the first one's checkpoints stay; afterwards the folder is free."""
    folder = tmp_path / "checkpoints"
    with exclusive(folder), pytest.raises(TuningError, match="Another training of the same data"):
        make().fine_tune(data.train, checkpoints=folder, **QUICK)
    assert make().fine_tune(data.train, checkpoints=folder, **QUICK)


def test_a_full_disk_under_the_checkpoints_is_said(model, data, tmp_path, monkeypatch):
    """Training goes on without them."""

    def full(path, content):
        raise OSError(28, "No space left on device")

    said = []
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", warn=said.append, keep="always", **QUICK
    )
    assert any("No space left on device. Training goes on." in text for text in said)
    assert record.stopped is None
