"""Predict: classify images with a trained model."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import BundleError, DataError, OptionError, OutputError
from headstart.predictor.predictor import FailedPrediction
from headstart.watching import SilentWatcher
from tests.data.test_sources import refuse_to_list


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


def test_a_string_is_one_path(trained: TrainResult) -> None:
    """A path does not need to be in a list, and a folder stands for its images."""
    photos = trained.run.parent / "photos/train"
    (prediction,) = hs.predict(trained.run, str(photos / "red/003.png"))
    assert (prediction.image, prediction.label) == (str(photos / "red/003.png"), "red")
    assert len(hs.predict(trained.run, photos)) == 24


def test_images_in_memory_are_predicted(trained: TrainResult) -> None:
    """Contents, arrays, generators and sets of images are predicted as their files are."""
    test = hs.open_images(trained.run.parent / "photos").test
    of_paths = hs.predict(trained.run, test.paths)
    arrays = np.stack([np.asarray(Image.open(path)) for path in test.paths])
    for images in (test, arrays, (Path(path).read_bytes() for path in test.paths)):
        results = hs.predict(trained.run, images)
        assert [result.label for result in results] == [result.label for result in of_paths]
    assert len(of_paths) == 12


def test_a_value_that_is_not_an_image_is_an_error(trained: TrainResult) -> None:
    """The error says what is taken."""
    with pytest.raises(TypeError, match=r"did cv2\.imread fail to read the file\?"):
        hs.predict(trained.run, None)


def test_progress_knows_the_total(trained: TrainResult) -> None:
    """The number of images is known unless they come from a generator."""
    files = sorted((trained.run.parent / "photos/train/red").iterdir())[:3]
    seen = []

    class Progress(SilentWatcher):
        @contextmanager
        def stage(self, name):
            yield lambda done, total: seen.append((done, total))

    hs.predict(trained.run, files, watcher=Progress())
    hs.predict(trained.run, iter(files), watcher=Progress())
    assert seen == [(1, 3), (2, 3), (3, 3), (1, 1), (2, 2), (3, 3)]


def test_predictions_are_written(trained: TrainResult, tmp_path: Path) -> None:
    """A file is replaced only if asked to, and each class has a column whatever `top` is."""
    image, out = trained.run.parent / "photos/train/red/003.png", tmp_path / "p.csv"
    (prediction,) = hs.predict(trained.run, image, out=out, top=1)
    first = out.read_text()
    header, row = first.splitlines()
    assert header == '"image","label","probability","unknown","p_blue","p_red","error"'
    name, label, probability, unknown, blue, red, error = row.split(",")
    assert (name, label, error) == (f'"{image}"', '"red"', "")
    assert unknown in ("true", "false")
    assert float(probability) == float(red) == pytest.approx(prediction.probability)
    assert float(blue) + float(red) == pytest.approx(1)
    with pytest.raises(OutputError, match=r"already exists"):
        hs.predict(trained.run, [], out=out)
    hs.predict(trained.run, [], out=out, overwrite=True)
    assert out.read_text().splitlines() == [header.replace('"unknown",', "")]


def test_a_full_disk_is_an_error(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of a file that cannot be written."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headstart.runs.predictions._write_csv", fail)
    with pytest.raises(OutputError) as error:
        hs.predict(trained.run, [], out=tmp_path / "p.csv")
    assert str(error.value) == (
        f"Output '{tmp_path / 'p.csv'}' cannot be written: No space left on device."
    )
    assert list(tmp_path.iterdir()) == []


def test_folders_are_read_like_data(trained: TrainResult, tmp_path: Path) -> None:
    """Images without a suffix are found, and formats that are not read are named."""
    good = (trained.run.parent / "photos/train/blue/000.png").read_bytes()
    (tmp_path / "photo").write_bytes(good)
    (tmp_path / "raw.dng").write_bytes(b"II*\0")
    (tmp_path / "notes.txt").touch()
    first, second = hs.predict(trained.run, tmp_path)
    assert first.label == "blue"
    assert isinstance(second, FailedPrediction)
    assert second.error == ".dng files are not supported; convert it to .png or .jpg"


def test_a_folder_that_cannot_be_read_is_named(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are predicted."""
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        shutil.copy(trained.run.parent / "photos/train/blue/000.png", tmp_path / name)
    refuse_to_list(tmp_path / "closed", monkeypatch)
    with pytest.warns(hs.HeadstartWarning) as caught:
        predictions = hs.predict(trained.run, tmp_path)
    assert [prediction.label for prediction in predictions] == ["blue"]
    assert [str(warning.message) for warning in caught] == [
        f"Folder '{tmp_path / 'closed'}' cannot be read: Permission denied."
    ]
