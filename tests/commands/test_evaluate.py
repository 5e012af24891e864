"""Evaluate: the metrics of a trained model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.data.manifest import with_column
from headstart.errors import DataError, OptionError, OutputError, RecordError
from headstart.record import Record, Rejection
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher
from tests.conftest import COLOURS, picture

MakeFolder = Callable[..., Path]


@pytest.fixture
def run_copy(trained: TrainResult, tmp_path: Path) -> Path:
    """Return a copy of the run whose manifest lists copies of the photos, next to it."""
    shutil.copytree(trained.run.parent / "photos", tmp_path / "photos")
    shutil.copytree(trained.run, tmp_path / "run")
    manifest = pq.read_table(tmp_path / "run/manifest.parquet")
    old, new = str(trained.run.parent), str(tmp_path)
    paths = [path.replace(old, new) for path in manifest["path"].to_pylist()]
    pq.write_table(with_column(manifest, "path", paths), tmp_path / "run/manifest.parquet")
    return tmp_path / "run"


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
    assert result._repr_html_() == result.evaluation.to_html(result.record.trained_on)


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
    """The error says what to do, and that the run has test images of its own."""
    photos = trained.run.parent / "photos/train"
    expected = (
        f"'train' has no usable {split} images. It has no split: put the images into folders train "
        f"and {split}, or add a column 'split' to the table. Or pass --split all."
    )
    own = f" To evaluate on the test images of '{trained.run}', omit the data."
    with pytest.raises(DataError) as error:
        hs.evaluate(trained.run, photos, split=split)
    assert str(error.value) == expected + (own if split == "test" else "")
    with pytest.raises(DataError) as error:
        hs.evaluate(trained.run / "bundle", photos, split=split)
    assert str(error.value) == expected


def test_without_data_the_own_test_part_is_evaluated(trained: TrainResult) -> None:
    """The metrics are those of the record, to the last digit, and this is said."""
    watcher = RecordingWatcher()
    result = hs.evaluate(trained.run, cache=trained.run.parent / "cache", watcher=watcher)
    assert result.evaluation == trained.record.test
    assert (result.split, result.record.data, result.record.recorded) == ("test", "photos", {})
    assert (
        result.record.comparison == "The record of the run has the same figures, to the last digit."
    )
    assert watcher.notes == [f"The test part of '{trained.run}': 12 images, unchanged."]
    assert watcher.warnings == []


def test_a_bundle_knows_its_training_images(trained: TrainResult, tmp_path: Path) -> None:
    """The counts by class are from its record; a model without a record has none."""
    photos, cache = trained.run.parent / "photos", trained.run.parent / "cache"
    result = hs.evaluate(trained.run / "bundle", photos, cache=cache)
    assert result.record.trained_on == trained.record.data.trained_on == (12, 12)
    assert result.summary.rows[0][-2:] == ("6", "12")
    assert [row["trained_on"] for row in result.to_json()["per_class"]] == [12, 12]
    replace(trained.model.predictor, record=None).save(tmp_path / "bare")
    result = hs.evaluate(tmp_path / "bare", photos, cache=cache)
    assert (result.record.trained_on, result.summary.columns[-1]) == ((), "test images>")
    assert [row["trained_on"] for row in result.to_json()["per_class"]] == [None, None]


def test_other_figures_than_those_of_the_record_are_listed(run_copy: Path) -> None:
    """The recorded figures that are not measured again are named with their values."""
    record = Record.read(run_copy)
    assert record.test
    other = replace(record, test=replace(record.test, accuracy=0.75, log_loss=0.25))
    hs.load(run_copy).save(run_copy / "bundle", record=other, overwrite=True)
    result = hs.evaluate(run_copy)
    assert result.record.recorded == {"accuracy": 0.75, "log_loss": 0.25}
    assert result.record.comparison == (
        "The figures in the record of the run differ: accuracy 0.75, log loss 0.25."
    )


def test_without_data_another_part_can_be_evaluated(trained: TrainResult) -> None:
    """The training part warns, and the record has no figures on it."""
    watcher = RecordingWatcher()
    result = hs.evaluate(trained.run, split="train", watcher=watcher)
    assert (result.evaluation.images, result.record.recorded, result.record.comparison) == (
        24,
        None,
        "",
    )
    assert watcher.warnings == list(result.record.warnings)
    assert result.record.warnings == (
        "All of these 24 images were used for training, so the results are optimistic.",
    )


def test_the_val_part_is_evaluated_again(tmp_path: Path, make_folder: MakeFolder) -> None:
    """Without a test part, "auto" is the validation part, with the figures of the record."""
    for part in ("train", "val"):
        make_folder(6, name=f"photos/{part}")
    trained = hs.train(tmp_path / "photos", out=tmp_path / "run", cache=tmp_path / "cache", **QUICK)
    result = hs.evaluate(tmp_path / "run", cache=tmp_path / "cache")
    assert (result.split, result.evaluation.images, result.record.recorded) == ("val", 12, {})
    assert result.evaluation == trained.record.validation
    assert "12 validation images" in result.summary.context
    with pytest.raises(DataError) as error:
        hs.evaluate(tmp_path / "run", split="test")
    assert str(error.value) == (
        f"The run '{tmp_path / 'run'}' has no test images. Pass --split val, or labelled images: "
        f"headstart evaluate {tmp_path / 'run'} DATA"
    )


def test_a_bundle_does_not_know_its_test_images(trained: TrainResult) -> None:
    """Without its run, a bundle needs data."""
    bundle = trained.run / "bundle"
    with pytest.raises(OptionError) as error:
        hs.evaluate(bundle)
    assert str(error.value) == (
        f"'{bundle}' is a bundle without its run, so its test images are not known. "
        f"Pass labelled images: headstart evaluate {bundle} DATA"
    )


def test_missing_and_changed_files_are_named(run_copy: Path) -> None:
    """The error says which files are not as they were; data passed explicitly is evaluated."""
    photos = run_copy.parent / "photos"
    (photos / "test/red/000.png").unlink()
    picture(5).save(photos / "test/red/001.png")
    with pytest.raises(DataError) as error:
        hs.evaluate(run_copy)
    assert str(error.value) == (
        f"The test part of '{run_copy}' is not as it was in the training: of its 12 images, "
        f"1 is missing ('{photos}/test/red/000.png') and 1 has changed "
        f"('{photos}/test/red/001.png'). "
        "Restore the files, or run this in the folder where the run was trained, or pass the "
        f"data where it is now: headstart evaluate {run_copy} DATA --split test"
    )
    watcher = RecordingWatcher()
    (photos / "test").rename(photos / "moved")
    result = hs.evaluate(run_copy, photos / "moved", split="test", watcher=watcher)
    assert (result.split, result.evaluation.images, result.record.recorded) == ("test", 10, None)
    assert f"'moved' has no split, so that of '{run_copy}' is used." in watcher.notes
    assert watcher.warnings == [
        (
            f"Only 10 of the 12 test images of '{run_copy}' are in 'moved', so the results differ "
            "from those of the training."
        )
    ]


def test_a_damaged_manifest_is_an_error(run_copy: Path) -> None:
    """The message names the file."""
    (run_copy / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"manifest.parquet' cannot be read: "):
        hs.evaluate(run_copy)


def test_images_of_unknown_classes_are_rejected(trained: TrainResult, tmp_path: Path) -> None:
    """Each image of a class that the model does not have is rejected with the reason."""
    photos = tmp_path / "new"
    shutil.copytree(trained.run.parent / "photos/test", photos)
    (photos / "green").mkdir()
    picture(77, COLOURS["green"]).save(photos / "green/a.png")
    result = hs.evaluate(trained.run, photos)
    assert result.record.rejected == (Rejection("green/a.png", "the model has no class green"),)
    assert (result.record.classes, result.evaluation.images) == (("blue", "red"), 12)
    named = "No image of the class 'green' can be used: the model has no class green."
    assert named in result.record.warnings


def test_images_of_one_class_can_be_evaluated(trained: TrainResult, tmp_path: Path) -> None:
    """With images of a single class, the AUROC is not defined."""
    shutil.copytree(trained.run.parent / "photos/test/blue", tmp_path / "new/blue")
    result = hs.evaluate(trained.run, tmp_path / "new")
    assert result.evaluation.images == 6
    assert result.evaluation.auroc is None


def test_data_without_some_of_the_classes_is_evaluated(
    trained: TrainResult, tmp_path: Path, make_folder: MakeFolder
) -> None:
    """The summary and the JSON name the classes that have no images; means are over the others."""
    model = make_folder(8, tuple(COLOURS), name="three")
    hs.train(model, out=tmp_path / "run", cache=tmp_path / "cache", **QUICK)
    data = trained.run.parent / "photos"
    result = hs.evaluate(tmp_path / "run", data, cache=tmp_path / "cache")
    blue, green, red = result.evaluation.per_class
    assert (blue.images, green.images, red.images) == (6, 0, 6)
    assert result.evaluation.macro_f1 == pytest.approx((blue.f1 + red.f1) / 2)
    assert result.evaluation.auroc == pytest.approx((blue.auroc + red.auroc) / 2)
    assert result.to_json()["classes_without_images"] == ["green"]
    assert result.summary.note == (
        "No images of 'green': AUROC and macro-F1 are means over the other 2 of 3 classes."
    )
    in_python = hs.load(tmp_path / "run", cache=tmp_path / "cache")
    assert in_python.evaluate(hs.open_images(data).test) == result.evaluation


def test_the_folder_has_the_report_the_figures_and_the_predictions(run_copy: Path) -> None:
    """The predictions are those of the run's own table, and the mistakes are pictured."""
    out = run_copy.parent / "evaluations/first"
    result = hs.evaluate(run_copy, out=out)
    assert result.out == out
    table = pq.read_table(out / "predictions.parquet")
    expected = pq.read_table(run_copy / "test_predictions.parquet")
    assert table.schema.names == expected.schema.names
    assert table.select([0, 1, 2]).equals(expected.select([0, 1, 2]))
    assert np.allclose(table["p_red"], expected["p_red"], atol=1e-3)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count('class="views"') == 2  # 10 of 12 images are correct.
    values = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert values["accuracy"] == pytest.approx(10 / 12)
    assert values["confusion"] == [[5, 1], [1, 5]]


def test_predictions_are_named_by_the_classes_of_the_model(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    """Data without one of the classes has a column for it in the table of predictions."""
    model = make_folder(8, tuple(COLOURS), name="three")
    hs.train(model, out=tmp_path / "run", cache=tmp_path / "cache", **QUICK)
    reds = make_folder(4, ("red",), name="reds")
    result = hs.evaluate(tmp_path / "run", reds, cache=tmp_path / "cache", out=tmp_path / "eval")
    table = pq.read_table(tmp_path / "eval/predictions.parquet")
    assert table.schema.names[-3:] == ["p_blue", "p_green", "p_red"]
    right = [row["predicted"] == row["truth"] == "red" for row in table.to_pylist()]
    assert np.mean(right) == result.evaluation.accuracy


def test_the_output_is_checked_before_any_work(trained: TrainResult, tmp_path: Path) -> None:
    """A file name, a folder that exists and one that is not an evaluation are errors."""
    with pytest.raises(OptionError) as error:
        hs.evaluate("missing", out=tmp_path / "page.html")
    assert str(error.value) == (
        f"Output '{tmp_path / 'page.html'}' has the name of a file, but it is a folder, for "
        "report.html, evaluation.json and predictions.parquet. "
        f"Pass --out {tmp_path / 'page'}"
    )
    with pytest.raises(OutputError, match=r"already exists. Pass --overwrite"):
        hs.evaluate("missing", out=trained.run)
    with pytest.raises(OutputError, match=r"exists but is not a headstart evaluation, so it was"):
        hs.evaluate("missing", out=trained.run, overwrite=True)
    with pytest.raises(OptionError) as error:
        hs.evaluate("missing", overwrite=True)
    assert str(error.value) == (
        "--overwrite has no effect without --out. Add --out with the folder to replace."
    )


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
        "All of these 24 images were used for training, so the results are optimistic."
    ]
