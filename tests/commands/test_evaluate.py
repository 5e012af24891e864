"""Evaluate: the metrics of a trained model."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError
from headstart.record import Rejection
from tests.commands.test_train import RecordingWatcher
from tests.conftest import COLOURS, picture


def test_the_saved_model_has_the_metrics_of_the_training(trained: TrainResult) -> None:
    """Evaluating the run on its test images repeats the metrics in its record."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos", split="test")
    measured = trained.record.test
    assert result.evaluation.images == measured.images == 12
    assert result.evaluation.accuracy == measured.accuracy == pytest.approx(10 / 12)
    assert result.evaluation.log_loss == pytest.approx(measured.log_loss, rel=1e-4)
    assert result.evaluation.confusion == measured.confusion


def test_predictions_agree_with_the_evaluation(trained: TrainResult) -> None:
    """Predicting the test files gives the probabilities of the evaluation."""
    test = hs.open_images(trained.run.parent / "photos").test
    predictions = hs.predict(trained.run, test.paths)
    of_blue = [dict(prediction.top)["blue"] for prediction in predictions]
    assert np.allclose(of_blue, trained.model.probabilities_of(test)[:, 0], atol=0.02)
    labels = [test.classes[number] for number in test.labels]
    correct = [p.label == label for p, label in zip(predictions, labels, strict=True)]
    assert np.mean(correct) == trained.record.test.accuracy


def test_auto_is_the_test_part(trained: TrainResult) -> None:
    """Data with a test part is evaluated on it."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos")
    assert (result.split, result.evaluation.images) == ("test", 12)
    assert repr(result) == f"EvaluateResult({result.evaluation!r}, split='test')"
    assert result._repr_html_() == result.evaluation._repr_html_()


def test_auto_is_everything_without_a_test_part(trained: TrainResult) -> None:
    """Data without a test part is evaluated completely."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos/test")
    assert (result.split, result.evaluation.images) == ("all", 12)


@pytest.mark.parametrize(("split", "images"), [("all", 36), ("train", 24), ("test", 12)])
def test_a_part_can_be_selected(trained: TrainResult, split: str, images: int) -> None:
    """Each part of the data can be evaluated."""
    result = hs.evaluate(trained.run, trained.run.parent / "photos", split=split)
    assert (result.split, result.evaluation.images) == (split, images)


def test_a_missing_part_is_an_error(trained: TrainResult) -> None:
    """The error names the parts that there are."""
    with pytest.raises(DataError) as error:
        hs.evaluate(trained.run, trained.run.parent / "photos", split="val")
    assert str(error.value) == (
        "'photos' has no usable val images. It has train and test images. "
        "Pass --split test or --split all."
    )


@pytest.mark.parametrize("split", ["test", "val"])
def test_data_without_a_split_has_no_parts(trained: TrainResult, split: str) -> None:
    """The error says what to do, and where the results of the training are."""
    with pytest.raises(DataError) as error:
        hs.evaluate(trained.run, trained.run.parent / "photos/test", split=split)
    report = trained.run / "report.html"
    assert str(error.value) == (
        f"'test' has no usable {split} images. It has no split: put the images into folders train "
        f"and {split}, or add a column 'split' to the table. Or pass --split all."
    ) + (
        f" The results on the images that training held out are in '{report}'."
        if split == "test"
        else ""
    )
    with pytest.raises(DataError, match=r"Or pass --split all\.$"):
        hs.evaluate(trained.run / "bundle", trained.run.parent / "photos/test", split=split)


def test_images_of_unknown_classes_are_rejected(trained: TrainResult, tmp_path: Path) -> None:
    """Each image of a class that the model does not have is rejected with the reason."""
    photos = tmp_path / "new"
    shutil.copytree(trained.run.parent / "photos/test", photos)
    (photos / "green").mkdir()
    picture(77, COLOURS["green"]).save(photos / "green/a.png")
    result = hs.evaluate(trained.run, photos)
    assert result.rejected == (Rejection("green/a.png", "the model has no class green"),)
    assert (result.classes, result.evaluation.images) == (("blue", "red"), 12)


def test_images_of_one_class_can_be_evaluated(trained: TrainResult, tmp_path: Path) -> None:
    """With images of a single class, the AUROC is not defined."""
    shutil.copytree(trained.run.parent / "photos/test/blue", tmp_path / "new/blue")
    result = hs.evaluate(trained.run, tmp_path / "new")
    assert result.evaluation.images == 6
    assert result.evaluation.auroc is None


def test_a_perfect_result_is_exact(trained: TrainResult) -> None:
    """A perfect result has no rounding errors: the upper bound is 1, the loss is not -0."""
    evaluation = hs.evaluate(trained.run, trained.run.parent / "photos", split="train").evaluation
    assert evaluation.accuracy_ci95[1] == 1.0
    assert not str(evaluation.log_loss).startswith("-")


def test_evaluating_on_training_images_warns(trained: TrainResult) -> None:
    """Evaluating on training images is possible, with a warning."""
    watcher = RecordingWatcher()
    photos = trained.run.parent / "photos" / "train"
    cache = trained.run.parent / "cache"
    hs.evaluate(trained.run, photos, cache=cache, watcher=watcher)
    assert watcher.warnings == [
        "24 of these 24 images were used for training, so the results are optimistic."
    ]
