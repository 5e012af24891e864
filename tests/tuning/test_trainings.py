"""Where trainings keep their checkpoints: found again by their options, and never mixed."""

import json
import os

import pytest

import headstart as hs
import headstart.tuning.trainings as trainings
from headstart.errors import TuningError
from headstart.tuning.training.checkpoint import Checkpoint, write_checkpoint
from headstart.tuning.trainings import finish, forget_finished, own_folder
from tests.commands.test_tuning import QUICK, SHORT, InterruptingWatcher

ONE, OTHER = {"views": 1, "rows": (1, 2)}, {"views": 2, "rows": (1, 2)}


def opened(home, options, *, resume=False, warn=None):
    """Return the folder that a training gets."""
    with own_folder(home, options, resume=resume, warn=warn or (lambda text: None)) as folder:
        return folder


def cut_off(home, options, *, time=1_700_000_000):
    """Begin a training, and leave a checkpoint that was written at some time."""
    folder = opened(home, options)
    state = {"step": 14, "history": [{}], "identity": {"epochs": 3}}
    write_checkpoint(folder / "round-1", Checkpoint({}, state))
    os.utime(folder / "round-1" / "checkpoint.json", (time, time))
    return folder


def names(folder):
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_no_folder_is_no_folder():
    """Then nothing is kept."""
    assert opened(None, ONE) is None
    finish(None)
    forget_finished(None)


def test_each_has_its_own_place_and_says_what_it_is(tmp_path):
    """The options and when it began are written where people can read them."""
    first, second = opened(tmp_path / "photos", ONE), opened(tmp_path / "photos", OTHER)
    assert first.parent != second.parent and first.name == second.name == "1"
    about = json.loads((first / "training.json").read_text())
    assert about["data"] == "photos" and about["options"] == {"views": 1, "rows": [1, 2]}
    assert about["created"].endswith("+00:00")


def test_the_newest_of_the_same_options_is_resumed(tmp_path):
    """A new one begins beside those with checkpoints, and takes the place of one without."""
    first = cut_off(tmp_path, ONE, time=2_000_000_000)
    second = cut_off(tmp_path, ONE)
    cut_off(tmp_path, OTHER, time=2_100_000_000)
    assert (first.name, second.name) == ("1", "2")
    assert opened(tmp_path, ONE).name == opened(tmp_path, ONE).name == "3"
    assert opened(tmp_path, ONE, resume=True) == first


def test_what_there_is_to_resume_is_listed(tmp_path):
    """Each with what differs, how far it got and when; newest first, old folders never."""
    cut_off(tmp_path, ONE)
    finish(cut_off(tmp_path, OTHER, time=1_700_100_000))
    write_checkpoint(tmp_path / "round-0", Checkpoint({}, {"step": 1}))
    with pytest.raises(TuningError) as error:
        opened(tmp_path, {"views": 3, "rows": (1, 2)}, resume=True)
    first, *listed, last = str(error.value).splitlines()
    assert first == (
        f"No training in '{tmp_path}' has these data and options. There is to go on with:"
    )
    assert [line.rpartition(" last written ")[0] for line in listed] == [
        "- views was 2, is 3 (finished,",
        "- views was 1, is 3 (1 of 3 epochs and step 14 of round-1,",
    ]
    assert all("last written 2023-11-1" in line for line in listed)
    assert last == "Give the options of one of them, or start anew without --resume."
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_checkpoint_is_listed_too(tmp_path):
    """It may be that the one before is whole."""
    (cut_off(tmp_path, ONE) / "round-1" / "checkpoint.json").write_text("{")
    with pytest.raises(TuningError, match="its newest checkpoint is damaged, last written"):
        opened(tmp_path, OTHER, resume=True)


def test_checkpoints_stay_until_the_result_is_safe(tmp_path):
    """Only those of a finished training are removed, and what TensorBoard reads stays."""
    folder = cut_off(tmp_path, ONE)
    (folder / "round-1" / "tensorboard").mkdir()
    (folder / "round-1" / "tensorboard" / "events").touch()
    forget_finished(folder)
    assert "checkpoint.json" in names(folder / "round-1")
    finish(folder)
    assert opened(tmp_path, ONE, resume=True) == folder
    forget_finished(folder)
    assert names(folder) == ["round-1"] and names(folder / "round-1") == ["tensorboard"]
    assert opened(tmp_path, ONE).name == "2"


def test_finished_work_does_not_pile_up(tmp_path):
    """One that has been repeated to its end goes; what was cut off stays."""
    finished, unfinished, again = (cut_off(tmp_path, ONE) for _ in range(3))
    finish(finished)
    finish(again)
    assert not finished.exists() and unfinished.exists() and again.exists()


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path):
    """There a training goes on without checkpoints."""
    (tmp_path / "file").touch()
    folder = opened(tmp_path / "file", ONE)
    finish(folder)
    forget_finished(folder)
    assert opened(tmp_path / "file", ONE, resume=True)


def test_a_description_that_is_damaged_is_as_good_as_none(tmp_path):
    """The training is still found by its options, and cannot be named to others."""
    folder = cut_off(tmp_path, ONE)
    (folder / trainings._ABOUT).write_text("[]")
    assert opened(tmp_path, ONE, resume=True) == folder
    said = []
    assert opened(tmp_path, OTHER, resume=True, warn=said.append).name == "1"
    assert "to go on with, so it starts anew" in said[0]


def test_a_run_that_is_written_needs_no_checkpoints(make_folder, tmp_path):
    """After Ctrl-C they stay for --resume; once the run of the whole training is there, they go."""
    photos, options = make_folder(count=20), QUICK | SHORT | {"cache": tmp_path / "cache"}
    first, second = tmp_path / "first", tmp_path / "second"
    cut = hs.train(photos, tune="stages:1", watcher=InterruptingWatcher(), out=first, **options)
    assert cut.interrupted and list((tmp_path / "cache" / "tuning").rglob("checkpoint.json"))
    whole = hs.train(photos, tune="stages:1", resume=True, out=second, **options)
    assert not whole.interrupted and (second / "events.jsonl").stat().st_size > 0
    left = [path for path in (tmp_path / "cache" / "tuning").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {".lock"}
