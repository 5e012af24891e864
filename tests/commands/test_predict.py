"""Predict: what images show."""

from pathlib import Path

import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import BundleError, DataError, OptionError
from headstart.predictor.predictor import Unread


def test_files_come_back_in_the_order_given(trained: TrainResult) -> None:
    """One prediction for each file, none sorted."""
    photos = trained.run.parent / "photos/train"
    files = [photos / "red/003.png", photos / "blue/002.png", photos / "red/001.png"]
    told = hs.predict(trained.run, files)
    assert [one.image for one in told] == [str(file) for file in files]
    assert [one.label for one in told] == ["red", "blue", "red"]


def test_more_files_than_a_batch_keep_their_order(trained: TrainResult) -> None:
    """A folder of more images than one batch holds is told in order, each as if it were alone."""
    folder = trained.run.parent / "photos/train"
    told = hs.predict(trained.run, [folder])
    assert [one.label for one in told] == ["blue"] * 12 + ["red"] * 12
    alone = hs.predict(trained.run, [told[9].image])
    assert alone[0].probability == pytest.approx(told[9].probability, abs=0.02)


def test_an_unreadable_file_keeps_its_place(trained: TrainResult, tmp_path: Path) -> None:
    """A damaged file among good ones is named where it stood; the others are told."""
    good = trained.run.parent / "photos/train/blue/000.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    first, second, third, fourth = hs.predict(trained.run, [bad, good, tmp_path / "none", good])
    assert isinstance(first, Unread) and first.image == str(bad)
    assert third == Unread(str(tmp_path / "none"), "the file does not exist")
    assert second == fourth
    assert second.label == "blue"


def test_probabilities_sum_to_one(trained: TrainResult) -> None:
    """With every class listed, nothing is missing, and the label is the first."""
    image = trained.run.parent / "photos/train/blue/000.png"
    (told,) = hs.predict(trained.run, [image])
    assert sum(probability for _, probability in told.top) == pytest.approx(1)
    assert told.top[0] == (told.label, told.probability)


def test_no_files_give_no_predictions(trained: TrainResult) -> None:
    """An empty list is no error."""
    assert hs.predict(trained.run, []) == []


def test_a_folder_without_images_is_an_error(trained: TrainResult, tmp_path: Path) -> None:
    """A folder that holds none is most likely the wrong one."""
    with pytest.raises(DataError) as error:
        hs.predict(trained.run, [tmp_path])
    assert str(error.value) == f"Folder '{tmp_path}' holds no images."


def test_a_missing_model_is_an_error() -> None:
    """The model is named."""
    with pytest.raises(BundleError, match=r"^Model 'nowhere' does not exist\.$"):
        hs.predict("nowhere", ["a.png"])


def test_an_unknown_option_is_an_error(trained: TrainResult) -> None:
    """Options of `train` are none of `predict`."""
    with pytest.raises(OptionError, match=r"^Unknown option 'tops'\. Did you mean 'top'\?$"):
        hs.predict(trained.run, [], tops=1)


def test_top_must_be_at_least_one(trained: TrainResult) -> None:
    """A list of no labels is refused."""
    with pytest.raises(OptionError) as error:
        hs.predict(trained.run, [], top=0)
    assert str(error.value) == (
        "Option 'top' cannot be 0: Input should be greater than or equal to 1."
    )
