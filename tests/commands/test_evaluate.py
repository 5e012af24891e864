"""Evaluate: how good a trained model is."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError
from headstart.record import Rejection
from tests.commands.test_train import Notes
from tests.conftest import COLOURS, picture


def test_the_test_images_give_the_numbers_of_the_training(trained: TrainResult) -> None:
    """What was measured in training is what the saved model does."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos", split="test")
    measured = trained.record.test
    assert result.evaluation.images == measured.images == 12
    assert result.evaluation.accuracy == measured.accuracy == pytest.approx(10 / 12)
    assert result.evaluation.log_loss == pytest.approx(measured.log_loss, rel=1e-4)
    assert result.evaluation.confusion == measured.confusion


def test_predictions_are_those_that_were_measured(trained: TrainResult) -> None:
    """Predicting the test files one by one gives the probabilities of the evaluation."""
    test = hs.open_images(trained.run.parent / "photos").test
    told = hs.predict(trained.run, test.paths)
    of_blue = [dict(one.top)["blue"] for one in told]
    assert np.allclose(of_blue, trained.model.probabilities_of(test)[:, 0], atol=0.02)
    right = [one.label == test.classes[label] for one, label in zip(told, test.labels, strict=True)]
    assert np.mean(right) == trained.record.test.accuracy


def test_auto_takes_the_test_part(trained: TrainResult) -> None:
    """Data with a test part is measured on it."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos")
    assert (result.split, result.evaluation.images) == ("test", 12)


def test_auto_takes_everything_without_a_test_part(trained: TrainResult) -> None:
    """Data without one is measured as a whole."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos/test")
    assert (result.split, result.evaluation.images) == ("all", 12)


@pytest.mark.parametrize(("split", "images"), [("all", 36), ("train", 24), ("test", 12)])
def test_a_part_can_be_asked_for(trained: TrainResult, split: str, images: int) -> None:
    """Each part of the data can be measured on."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos", split=split)
    assert (result.split, result.evaluation.images) == (split, images)


def test_a_part_that_is_not_there_is_an_error(trained: TrainResult) -> None:
    """The missing part is named."""
    with pytest.raises(DataError, match=r"^'photos' has no usable image in its val part\.$"):
        hs.evaluate(trained.run, trained.run.parent / "photos", split="val")


def test_images_of_unknown_classes_are_rejected(trained: TrainResult, tmp_path: Path) -> None:
    """A class that the model does not have is told with each of its images."""
    photos = tmp_path / "new"
    shutil.copytree(trained.run.parent / "photos/test", photos)
    (photos / "green").mkdir()
    picture(77, COLOURS["green"]).save(photos / "green/a.png")
    result = hs.evaluate(trained.run, photos)
    assert result.rejected == (Rejection("green/a.png", "the model has no class green"),)
    assert (result.classes, result.evaluation.images) == (("blue", "red"), 12)


def test_one_class_is_enough_to_measure(trained: TrainResult, tmp_path: Path) -> None:
    """Images of one class alone can be measured; the area under the curve is not defined."""
    shutil.copytree(trained.run.parent / "photos/test/blue", tmp_path / "new/blue")
    result = hs.evaluate(trained.run, tmp_path / "new")
    assert result.evaluation.images == 6
    assert result.evaluation.auroc is None


def test_all_right_is_100_percent(trained: TrainResult) -> None:
    """The numbers of a perfect result have no rounding dust: bounds of 1, a loss of no -0."""
    evaluation = hs.evaluate(trained.run, trained.run.parent / "photos", split="train").evaluation
    assert evaluation.accuracy_ci95[1] == 1.0
    assert not str(evaluation.log_loss).startswith("-")


def test_images_that_were_learnt_from_are_told(trained: TrainResult) -> None:
    """Measuring on training images is possible, and said to be too good."""
    notes = Notes()
    photos = trained.run.parent / "photos" / "train"
    cache = trained.run.parent / "cache"
    hs.evaluate(trained.run, photos, cache=cache, watcher=notes)
    assert notes.warnings == [
        "24 of these 24 images were learnt from, so what is measured is too good."
    ]
