"""A training that was cut off goes on as if nothing had happened, or refuses to."""

import json
import shutil

import numpy as np
import pytest
import torch

from headstart.errors import TuningError
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import read_checkpoint
from tests.tuning.conftest import QUICK, at_step, changed, state


class Killed(BaseException):
    """Ends a training as a kill would: nothing catches it."""


def killed(model, data, folder, step, **options):
    """Train until a step of the first round."""
    options = QUICK | options

    def kill():
        raise Killed

    with pytest.raises(Killed):
        model.fine_tune(
            data.train,
            checkpoints=folder,
            progress=at_step(step, data, kill, epochs=options["epochs"]),
            keep="always",
            **options,
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
    folder = model.checkpoints / "round-0"
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
        model.fine_tune(
            data.train,
            checkpoints=trained_before,
            resume=True,
            keep="always",
            **QUICK | {"views": 1},
        )


def test_resuming_with_another_version_is_refused(model, data, trained_before, monkeypatch):
    """What an older version left may mean something else."""
    monkeypatch.setattr("headstart.tuning.workbench.version", lambda name: "0.2.0")
    with pytest.raises(TuningError, match=r"headstart was .*, is '0\.2\.0'"):
        model.fine_tune(data.train, checkpoints=trained_before, resume=True, keep="always", **QUICK)


def test_going_on_with_another_part_is_refused(model, data, trained_before):
    """The part that is asked for counts, not the one that was trained before."""
    options = QUICK | {"unfreeze": "stages:2", "resume": True, "keep": "always"}
    with pytest.raises(TuningError, match="- part was 'stages:1', is 'stages:2' "):
        model.fine_tune(data.train, checkpoints=trained_before, **options)


def test_minutes_count_only_where_they_plan(model, data, trained_before, tmp_path):
    """A named part goes on with more of them; "auto" chose its part by those that it had."""
    folder = shutil.copytree(trained_before, tmp_path / "state")
    options = QUICK | {"checkpoints": folder, "resume": True, "keep": "always"}
    with pytest.raises(
        TuningError, match=r"minutes was None, is 5\.0; part was 'stages:1', is 'auto'"
    ):
        model.fine_tune(data.train, unfreeze="auto", minutes=5.0, **options)
    assert model.fine_tune(data.train, minutes=5.0, **options).kept
    assert model.checkpoints.name == "1"


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


@pytest.mark.usefixtures("_same_way")
def test_trainings_of_other_options_leave_each_other_alone(make, data, tmp_path, monkeypatch, calm):
    """Cut off in turn and resumed in turn, both end as if they had been undisturbed."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    short, first, second, undisturbed = QUICK | {"epochs": 1}, make(), make(), make()
    undisturbed.fine_tune(data.train, keep="always", **short)
    killed(make(), data, tmp_path, 7)
    killed(make(), data, tmp_path, 3, epochs=1)
    first.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **QUICK)
    second.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **short)
    assert first.checkpoints != second.checkpoints
    assert not changed(calm[0], state(first))
    assert not changed(state(undisturbed), state(second))


def test_starting_anew_removes_nothing(model, make, data, tmp_path, monkeypatch):
    """A training that was cut off stays as it was beside the new one, and that is said."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    killed(make(), data, tmp_path, 5)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    said = []
    model.fine_tune(data.train, checkpoints=tmp_path, keep="always", warn=said.append, **QUICK)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert model.checkpoints.name == "2"
    (text,) = [one for one in said if "An earlier training with the same data" in one]
    assert f"'{model.checkpoints.with_name('1')}' (0 of 2 epochs and step 4 of round-0" in text


def test_resuming_nothing_starts_anew_and_says_so(model, data, tmp_path):
    """A folder without a training is no error."""
    said = []
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, warn=said.append, **QUICK
    )
    assert record
    assert any("to go on with, so it starts anew" in text for text in said)


def test_the_same_training_twice_at_once_is_refused(make, data, tmp_path):
    """The second is refused while the first goes on; one of other options may run beside it."""
    refused = []

    def begin_others():
        with pytest.raises(TuningError, match="Another training of the same data") as error:
            make().fine_tune(data.train, checkpoints=tmp_path, **QUICK)
        refused.append(error)
        assert make().fine_tune(data.train, checkpoints=tmp_path, **QUICK | {"epochs": 1})

    stop = at_step(2, data, begin_others)
    assert make().fine_tune(data.train, checkpoints=tmp_path, progress=stop, **QUICK)
    assert refused


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
