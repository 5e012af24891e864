"""Folders of trainings: found by their options, and never mixed."""

import json
import os

import pytest

import headstart as hs
import headstart.tuning.trainings as trainings
from headstart.errors import TuningError
from headstart.tuning.training.checkpoint import Checkpoint, write_checkpoint
from headstart.tuning.trainings import (
    Training,
    delete_finished,
    is_finished,
    mark_finished,
    saved_since,
    training_folder,
)
from tests.commands.test_tuning import QUICK, SHORT, InterruptingWatcher

FIRST, SECOND = {"views": 1, "rows": (1, 2)}, {"views": 2, "rows": (1, 2)}


def opened(home, options, *, resume=False, warn=None):
    """Return the folder of a training."""
    with training_folder(home, options, resume=resume, warn=warn or (lambda text: None)) as folder:
        return folder


def interrupted(home, options, *, time=1_700_000_000):
    """Start a training and leave a checkpoint with a given modification time."""
    folder = opened(home, options)
    state = {"step": 14, "history": [{}], "identity": {"epochs": 3}}
    write_checkpoint(folder / "round-1", Checkpoint({}, state))
    os.utime(folder / "round-1" / "checkpoint.json", (time, time))
    return folder


def names(folder):
    """Return the file names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_without_a_folder_nothing_is_saved():
    """All functions accept None."""
    assert opened(None, FIRST) is None
    mark_finished(None)
    delete_finished(None)


def test_each_training_has_its_own_folder_and_description(tmp_path):
    """The description has the options and the start time."""
    first, second = opened(tmp_path / "photos", FIRST), opened(tmp_path / "photos", SECOND)
    assert first.parent != second.parent and first.name == second.name == "1"
    about = json.loads((first / "training.json").read_text())
    assert about["data"] == "photos" and about["options"] == {"views": 1, "rows": [1, 2]}
    assert about["created"].endswith("+00:00")


def test_the_latest_training_with_the_same_options_is_resumed(tmp_path):
    """A new training gets a new folder beside those with checkpoints."""
    first = interrupted(tmp_path, FIRST, time=2_000_000_000)
    second = interrupted(tmp_path, FIRST)
    interrupted(tmp_path, SECOND, time=2_100_000_000)
    assert (first.name, second.name) == ("1", "2")
    assert opened(tmp_path, FIRST).name == opened(tmp_path, FIRST).name == "3"
    assert opened(tmp_path, FIRST, resume=True) == first


def test_trainings_that_can_be_resumed_are_listed(tmp_path):
    """Each with differences, progress and time, newest first."""
    interrupted(tmp_path, FIRST)
    mark_finished(interrupted(tmp_path, SECOND, time=1_700_100_000))
    write_checkpoint(tmp_path / "round-0", Checkpoint({}, {"step": 1}))
    with pytest.raises(TuningError) as error:
        opened(tmp_path, {"views": 3, "rows": (1, 2)}, resume=True)
    first, *listed, last = str(error.value).splitlines()
    assert first == (
        f"No training in '{tmp_path}' has these data and options. These can be resumed:"
    )
    assert [line.rpartition(" last written ")[0] for line in listed] == [
        "- views was 2, is 3 (finished,",
        "- views was 1, is 3 (1 of 3 epochs and step 14 of round 2,",
    ]
    assert all("last written 2023-11-1" in line for line in listed)
    assert last == "Use the same options as one of them, or start from scratch without --resume."
    assert len(list(tmp_path.iterdir())) == 3


def test_the_place_where_a_training_is_resumed(tmp_path):
    """Rounds are counted from 1, as for the user; the training on all images has a name."""
    folder = interrupted(tmp_path, FIRST)
    assert Training.read(folder).place == "round 2, step 14"
    write_checkpoint(folder / "final", Checkpoint({}, {"step": 3}))
    assert Training.read(folder).place == "the final training, step 3"
    (folder / "final" / "checkpoint.json").write_text("{")
    assert Training.read(folder).place == "the start of the final training"


def test_what_is_left_to_resume(tmp_path):
    """Nothing is left of a finished training, nor of one without a checkpoint."""
    folder = interrupted(tmp_path, FIRST, time=1_700_000_000)
    assert not is_finished(folder)
    assert saved_since(tmp_path, 1_699_999_999)
    assert not saved_since(tmp_path, 1_700_000_001)
    mark_finished(folder)
    assert is_finished(folder) and is_finished(tmp_path / "none") and is_finished(None)


def test_a_damaged_checkpoint_is_listed_too(tmp_path):
    """The previous checkpoint may be intact."""
    (interrupted(tmp_path, FIRST) / "round-1" / "checkpoint.json").write_text("{")
    with pytest.raises(TuningError, match="its newest checkpoint is damaged, last written"):
        opened(tmp_path, SECOND, resume=True)


def test_checkpoints_are_kept_until_the_result_is_saved(tmp_path):
    """Only checkpoints of a finished training are deleted, and TensorBoard's files are kept."""
    folder = interrupted(tmp_path, FIRST)
    (folder / "round-1" / "tensorboard").mkdir()
    (folder / "round-1" / "tensorboard" / "events").touch()
    delete_finished(folder)
    assert "checkpoint.json" in names(folder / "round-1")
    mark_finished(folder)
    assert opened(tmp_path, FIRST, resume=True) == folder
    delete_finished(folder)
    assert names(folder) == ["round-1"] and names(folder / "round-1") == ["tensorboard"]
    assert opened(tmp_path, FIRST).name == "2"


def test_finished_trainings_do_not_accumulate(tmp_path):
    """A repeated training replaces a finished one; unfinished ones are kept."""
    finished, unfinished, again = (interrupted(tmp_path, FIRST) for _ in range(3))
    mark_finished(finished)
    mark_finished(again)
    assert not finished.exists() and unfinished.exists() and again.exists()


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path):
    """Training works without checkpoints."""
    (tmp_path / "file").touch()
    folder = opened(tmp_path / "file", FIRST)
    mark_finished(folder)
    delete_finished(folder)
    assert opened(tmp_path / "file", FIRST, resume=True)


def test_a_damaged_description_is_ignored(tmp_path):
    """The training is still found by its options, but not listed."""
    folder = interrupted(tmp_path, FIRST)
    (folder / trainings._DESCRIPTION_FILE).write_text("[]")
    assert opened(tmp_path, FIRST, resume=True) == folder
    warnings = []
    assert opened(tmp_path, SECOND, resume=True, warn=warnings.append).name == "1"
    assert "There is no training of this data to resume" in warnings[0]


def test_checkpoints_are_deleted_once_the_run_is_saved(make_folder, tmp_path):
    """After Ctrl-C they are kept for --resume, until the run of the complete training is saved."""
    photos, options = make_folder(count=20), QUICK | SHORT | {"cache": tmp_path / "cache"}
    options |= {"tune": "stages:1", "out": tmp_path / "run"}
    cut = hs.train(photos, watcher=InterruptingWatcher(), **options)
    assert cut.interrupted and list((tmp_path / "cache" / "tuning").rglob("checkpoint.json"))
    whole = hs.train(photos, resume=True, **options)
    assert not whole.interrupted and (whole.run / "events.jsonl").stat().st_size > 0
    left = [path for path in (tmp_path / "cache" / "tuning").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {".lock"}
