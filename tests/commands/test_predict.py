"""Predict: classify images with a trained model."""

from pathlib import Path

import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import BundleError, DataError, OptionError
from headstart.predictor.predictor import FailedPrediction


def test_files_come_back_in_the_order_given(trained: TrainResult) -> None:
    """There is one prediction per file, in the given order."""
    photos = trained.run.parent / "photos/train"
    files = [photos / "red/003.png", photos / "blue/002.png", photos / "red/001.png"]
    predictions = hs.predict(trained.run, files)
    assert [prediction.image for prediction in predictions] == [str(file) for file in files]
    assert [prediction.label for prediction in predictions] == ["red", "blue", "red"]


def test_more_files_than_a_batch_keep_their_order(trained: TrainResult) -> None:
    """Predictions for several batches are in order, and independent of the batch."""
    folder = trained.run.parent / "photos/train"
    predictions = hs.predict(trained.run, [folder])
    assert [prediction.label for prediction in predictions] == ["blue"] * 12 + ["red"] * 12
    (single,) = hs.predict(trained.run, [predictions[9].image])
    assert single.probability == pytest.approx(predictions[9].probability, abs=0.02)


def test_an_unreadable_file_keeps_its_place(trained: TrainResult, tmp_path: Path) -> None:
    """A damaged file has a failed prediction in its place; the others are predicted."""
    good = trained.run.parent / "photos/train/blue/000.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    first, second, third, fourth = hs.predict(trained.run, [bad, good, tmp_path / "none", good])
    assert isinstance(first, FailedPrediction) and first.image == str(bad)
    assert third == FailedPrediction(str(tmp_path / "none"), "the file does not exist")
    assert second == fourth
    assert second.label == "blue"


def test_probabilities_sum_to_one(trained: TrainResult) -> None:
    """The probabilities of all classes sum to 1, and the label is the first class."""
    image = trained.run.parent / "photos/train/blue/000.png"
    (prediction,) = hs.predict(trained.run, [image])
    assert sum(probability for _, probability in prediction.top) == pytest.approx(1)
    assert prediction.top[0] == (prediction.label, prediction.probability)


def test_no_files_give_no_predictions(trained: TrainResult) -> None:
    """An empty list is not an error."""
    assert hs.predict(trained.run, []) == []


def test_a_folder_without_images_is_an_error(trained: TrainResult, tmp_path: Path) -> None:
    """A folder without images is most likely a mistake."""
    with pytest.raises(DataError) as error:
        hs.predict(trained.run, [tmp_path])
    assert str(error.value) == f"Folder '{tmp_path}' contains no images."


def test_a_missing_model_is_an_error() -> None:
    """The error names the model."""
    with pytest.raises(BundleError, match=r"^Model 'nowhere' does not exist\.$"):
        hs.predict("nowhere", ["a.png"])


def test_an_unknown_option_is_an_error(trained: TrainResult) -> None:
    """An unknown name suggests a similar one."""
    with pytest.raises(OptionError, match=r"^Unknown option 'tops'\. Did you mean 'top'\?$"):
        hs.predict(trained.run, [], tops=1)


def test_top_must_be_at_least_one(trained: TrainResult) -> None:
    """`top` below 1 is an error."""
    with pytest.raises(OptionError) as error:
        hs.predict(trained.run, [], top=0)
    assert str(error.value) == (
        "Option 'top' cannot be 0: Input should be greater than or equal to 1."
    )
