"""An interrupted training is resumed as if nothing had happened, or the error says why not."""

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
    """Ends a training like a kill: nothing catches it."""


def killed(model, data, folder, step, **options):
    """Train up to a step of the first round."""
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
def _same_setting(monkeypatch):
    """Use a fixed setting, because timing may choose different ones in two runs."""
    setting = Setting(threads=torch.get_num_threads())
    monkeypatch.setattr(
        "headstart.tuning.workbench.candidate_settings", lambda **options: [setting]
    )


@pytest.fixture(scope="module")
def uninterrupted(linear, data, tmp_path_factory):
    """The weights and the head of an uninterrupted run."""
    import copy

    model = copy.copy(linear)
    setting = Setting(threads=torch.get_num_threads())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 0)
        patch.setattr("headstart.tuning.workbench.candidate_settings", lambda **options: [setting])
        folder = tmp_path_factory.mktemp("uninterrupted")
        model.fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)
    return state(model), model.predictor.head


@pytest.mark.usefixtures("_same_setting")
@pytest.mark.parametrize("step", [1, 5, 7, 9])
def test_a_killed_training_ends_with_the_same_weights(
    make, data, tmp_path, monkeypatch, uninterrupted, step
):
    """After resuming in the middle of an epoch, weights are those of an uninterrupted run."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    again = make()
    killed(make(), data, tmp_path, step)
    again.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **QUICK)
    weights, head = uninterrupted
    assert not changed(weights, state(again))
    np.testing.assert_array_equal(head.weight, again.predictor.head.weight)


def test_an_interrupted_training_does_not_change_the_model(model, data, tmp_path):
    """Weights and predictions are as before, and the backbone is frozen."""
    predicted, before = model.probabilities_of(data.test), state(model)
    killed(model, data, tmp_path, 3)
    assert not changed(before, state(model))
    assert not any(p.requires_grad for p in model.backbone.parameters())
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(model, data, tmp_path):
    """A flipped byte is detected, with a warning."""
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    folder = model.checkpoints / "round-0"
    newest = json.loads((folder / "checkpoint.json").read_text())
    file = folder / newest["tensors"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found, problem = read_checkpoint(folder)
    assert found is not None and found.state["number"] == newest["number"] - 1
    assert "is damaged; using the previous one" in problem


@pytest.fixture(scope="module")
def trained_before(linear, data, tmp_path_factory):
    """A folder with checkpoints of a finished training; do not change it."""
    import copy

    folder = tmp_path_factory.mktemp("before") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 0)
        copy.copy(linear).fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)
    return folder


def test_resuming_with_other_options_lists_the_differences(model, data, trained_before):
    """The error has the option, its old value and its new value."""
    with pytest.raises(TuningError, match="views was 2, is 1"):
        model.fine_tune(
            data.train,
            checkpoints=trained_before,
            resume=True,
            keep="always",
            **QUICK | {"views": 1},
        )


def test_resuming_with_another_version_is_an_error(model, data, trained_before, monkeypatch):
    """Checkpoints of another version may have a different meaning."""
    monkeypatch.setattr("headstart.tuning.workbench.version", lambda name: "0.2.0")
    with pytest.raises(TuningError, match=r"headstart was .*, is '0\.2\.0'"):
        model.fine_tune(data.train, checkpoints=trained_before, resume=True, keep="always", **QUICK)


def test_resuming_with_another_part_is_an_error(model, data, trained_before):
    """The requested part counts, not the one trained before."""
    options = QUICK | {"unfreeze": "stages:2", "resume": True, "keep": "always"}
    with pytest.raises(TuningError, match="- part was 'stages:1', is 'stages:2' "):
        model.fine_tune(data.train, checkpoints=trained_before, **options)


def test_the_time_limit_may_change_except_with_auto(model, data, trained_before, tmp_path):
    """A training can be resumed with more time, except for "auto", whose plan depends on it."""
    folder = shutil.copytree(trained_before, tmp_path / "state")
    options = QUICK | {"checkpoints": folder, "resume": True, "keep": "always"}
    with pytest.raises(
        TuningError, match=r"minutes was None, is 5\.0; part was 'stages:1', is 'auto'"
    ):
        model.fine_tune(data.train, unfreeze="auto", minutes=5.0, **options)
    assert model.fine_tune(data.train, minutes=5.0, **options).kept
    assert model.checkpoints.name == "1"


def test_a_resumed_training_reuses_the_setting(make, data, tmp_path, monkeypatch):
    """Nothing is timed again, whichever setting is faster now."""
    first, resumed = make(), make()
    first.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    monkeypatch.setattr("headstart.tuning.workbench.fastest_setting", None)
    record = resumed.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, keep="always", **QUICK
    )
    assert not changed(state(first), state(resumed))
    assert record.setting.name


@pytest.mark.usefixtures("_same_setting")
def test_trainings_with_other_options_do_not_interfere(
    make, data, tmp_path, monkeypatch, uninterrupted
):
    """Interrupted and resumed in turn, both end as if uninterrupted."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    short, first, second, short_run = QUICK | {"epochs": 1}, make(), make(), make()
    short_run.fine_tune(data.train, keep="always", **short)
    killed(make(), data, tmp_path, 7)
    killed(make(), data, tmp_path, 3, epochs=1)
    first.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **QUICK)
    second.fine_tune(data.train, checkpoints=tmp_path, resume=True, keep="always", **short)
    assert first.checkpoints != second.checkpoints
    assert not changed(uninterrupted[0], state(first))
    assert not changed(state(short_run), state(second))


def test_starting_from_scratch_deletes_nothing(model, make, data, tmp_path, monkeypatch):
    """An interrupted training is kept beside the new one, with a warning."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)
    killed(make(), data, tmp_path, 5)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    warnings = []
    model.fine_tune(data.train, checkpoints=tmp_path, keep="always", warn=warnings.append, **QUICK)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert model.checkpoints.name == "2"
    (text,) = [text for text in warnings if "An earlier training with the same data" in text]
    assert f"'{model.checkpoints.with_name('1')}' (0 of 2 epochs and step 4 of round 1" in text


def test_without_a_training_to_resume_it_starts_from_scratch(model, data, tmp_path):
    """A folder without a training is a warning, not an error."""
    warnings = []
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, warn=warnings.append, **QUICK
    )
    assert record
    assert any("There is no training of this data to resume" in text for text in warnings)


def test_the_same_training_cannot_run_twice_at_once(make, data, tmp_path):
    """The second raises an error; a training with other options may run in parallel."""
    refused = []

    def start_others():
        with pytest.raises(TuningError, match="Another training of the same data") as error:
            make().fine_tune(data.train, checkpoints=tmp_path, **QUICK)
        refused.append(error)
        assert make().fine_tune(data.train, checkpoints=tmp_path, **QUICK | {"epochs": 1})

    stop = at_step(2, data, start_others)
    assert make().fine_tune(data.train, checkpoints=tmp_path, progress=stop, **QUICK)
    assert refused


def test_a_full_disk_for_checkpoints_is_a_warning(model, data, tmp_path, monkeypatch):
    """Training continues without checkpoints."""

    def full(path, content):
        raise OSError(28, "No space left on device")

    warnings = []
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", warn=warnings.append, keep="always", **QUICK
    )
    assert any("No space left on device. Training continues." in text for text in warnings)
    assert record.stopped is None
