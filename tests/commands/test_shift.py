"""`shift`: are unlabelled images like the training images?"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.cli.app import main
from headstart.commands.train import TrainResult
from headstart.errors import DataError, OptionError, RunInterrupted
from headstart.files import file_sha256
from headstart.predictor.bundle import read_bundle
from headstart.predictor.limits import Limits
from headstart.record.shift import ShiftRecord
from headstart.runs.answer_log import AnswerLog
from headstart.runs.images import images_of_part
from tests.conftest import COLOURS, TINY, picture
from tests.detection.scenes import scene, scenes, write_yolo
from tests.predictor.test_detector import make as make_detector

DETECTOR = {
    "backbone": TINY,
    "weights": "random",
    "image_size": 64,
    "epochs": 1,
    "views": 1,
    "test": 0.1,
    "precision": "float32",
    "deterministic": True,
}


@pytest.fixture
def folders(trained: TrainResult, tmp_path: Path) -> Path:
    """Write folders of unlabelled images: like the training images, green ones, and few."""
    for name, colours, count in (
        ("same", ("blue", "red"), 15),
        ("green", ("green", "green"), 15),
        ("few", ("blue", "red"), 1),
    ):
        (tmp_path / name).mkdir()
        for number, colour in enumerate(colours):
            for index in range(count):
                shown = picture(5000 + 100 * number + index, COLOURS[colour])
                shown.save(tmp_path / name / f"{number}-{index:02d}.png")
    return tmp_path


def measure(trained: TrainResult, folder: Path, **options) -> ShiftRecord:
    return hs.shift(trained.run, folder, cache=trained.run.parent / "cache", **options)


def test_images_of_the_same_kind(trained: TrainResult, folders: Path) -> None:
    """They cannot be told from the training images."""
    found = measure(trained, folders / "same")
    assert found.p is not None
    assert found.p > 0.05
    assert found.images == 30
    assert not found.warnings
    assert "cannot be distinguished from the training images (p = " in found.sentences[0]


def test_a_difference_without_unknown_images_is_explained() -> None:
    """A group may differ although no image does by itself."""
    values = {"model": "m", "images": 65, "seen": 0, "auroc": 1.0, "p": 0.002, "unknown": 0.0}
    values |= {"unknown_ci95": (0.0, 0.055), "false_alarms": 0.01, "estimated_accuracy": None}
    values |= dict.fromkeys(("ci95", "held_out_accuracy"))
    values |= dict.fromkeys(("unlike", "traits", "label_first", "rejected", "warnings"), ())
    record = ShiftRecord(**values)
    assert record.sentences[2] == (
        "Both are true: the first compares all images with all training images, and small "
        "differences in many of them are enough. An unknown image is far from every training image "
        "by itself."
    )
    assert len(replace(record, p=0.5).sentences) == 2
    assert len(replace(record, unknown=1.0, unknown_ci95=(0.9, 1.0)).sentences) == 2


def test_other_images(trained: TrainResult, folders: Path) -> None:
    """Green images differ; their colours moved; what to label first is named."""
    with pytest.warns(match="More than half of the images are unknown"):
        found = measure(trained, folders / "green", label_first=4)
    assert found.estimated_accuracy is None
    assert found.p == pytest.approx(0.002)
    assert found.unknown == 1
    assert "green" in {one.name for one in found.traits}
    assert len(set(found.label_first)) == 4
    assert found.unlike[0].distance >= found.unlike[-1].distance > 1
    assert "differ from the training images (p = 0.002" in found.sentences[0]


def test_few_images_and_unreadable_ones(trained: TrainResult, folders: Path) -> None:
    """Two images cannot tell, which is said; a file that cannot be read is named."""
    (folders / "few" / "bad.png").write_bytes(b"no image")
    with pytest.warns(
        match="2 images are too few to tell whether they are like the training images"
    ):
        found = measure(trained, folders / "few")
    assert found.p is found.estimated_accuracy is None
    assert [Path(one.image).name for one in found.rejected] == ["bad.png"]
    for path in (folders / "few").glob("?-*.png"):
        path.unlink()
    with pytest.raises(DataError, match="No image can be read"):
        measure(trained, folders / "few")


def test_training_images(trained: TrainResult, tmp_path: Path) -> None:
    """If the model was trained on the images, that is said."""
    shutil.copytree(trained.run.parent / "photos" / "train", tmp_path / "seen")
    with pytest.warns(match="All of these 24 images were used for training"):
        found = measure(trained, tmp_path / "seen")
    assert (found.seen, found.p) == (24, None)


def test_the_command_line(trained: TrainResult, folders: Path, capsys) -> None:
    """The terminal shows sentences and tables; --json has the documented keys."""
    arguments = ["shift", str(trained.run), str(folders / "green")]
    cache = ["--cache", str(trained.run.parent / "cache")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, *cache])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "These 30 images differ from the training images" in shown
    assert "Most unlike the training images (above 1 is unknown):" in shown
    with pytest.raises(SystemExit):
        main([*arguments, "--json", *cache])
    values = json.loads(capsys.readouterr().out)
    documented = {"images", "p", "unknown", "estimated_accuracy", "ci95", "label_first"}
    assert documented <= values.keys()


@pytest.fixture(scope="module")
def detecting(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train a detector; next to the run are `scenes` and `cache`."""
    root = tmp_path_factory.mktemp("detecting")
    data = write_yolo(root / "scenes", scenes(40))
    return hs.train(data, out=root / "run", cache=root / "cache", **DETECTOR)


def noise(number: int) -> Image.Image:
    """Return a picture of noise."""
    values = np.random.default_rng(number).integers(0, 256, (72, 96, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of unlabelled images."""

    def write(make: Callable[[int], Image.Image], count: int = 25) -> Path:
        (tmp_path / "new").mkdir()
        for number in range(count):
            make(number).save(tmp_path / "new" / f"{number:02d}.png")
        return tmp_path / "new"

    return write


def test_a_detector_finds_images_of_the_same_kind(
    detecting: TrainResult, write: Callable[..., Path]
) -> None:
    """Other scenes cannot be told from the training images, and hardly any is unknown."""
    found = measure(detecting, write(lambda number: scene(1000 + number).image), label_first=5)
    assert found.p is not None
    assert found.p > 0.05
    assert found.unknown < 0.2
    assert (found.images, found.seen, found.warnings) == (25, 0, ())
    assert found.estimated_accuracy is found.ci95 is found.held_out_accuracy is None
    assert len(set(found.label_first)) == 5


def test_a_detector_finds_other_images(detecting: TrainResult, write: Callable[..., Path]) -> None:
    """Noise is unknown; its contrast moved; the warning does not speak of an accuracy."""
    folder = write(noise)
    (folder / "bad.png").write_bytes(b"no image")
    with pytest.warns(match="are unknown") as warned:
        found = measure(detecting, folder, label_first=4)
    assert str(warned[0].message) == (
        "More than half of the images are unknown. The results on the test images say nothing "
        "about them."
    )
    assert found.p == pytest.approx(0.002)
    assert found.unknown == 1
    assert "contrast" in {one.name for one in found.traits}
    assert [Path(one.image).name for one in found.rejected] == ["bad.png"]


def test_the_training_images_of_a_detector(detecting: TrainResult) -> None:
    """If the detector was trained on the images, that is said."""
    images = detecting.record.data.images
    with pytest.warns(match=f"At least {images.train} of these 40 images were used for training"):
        found = measure(detecting, detecting.run.parent / "scenes" / "images")
    assert (found.seen, found.p, found.rejected) == (images.train, None, ())
    trained = images_of_part(detecting.run, "train")
    assert len(found.label_first) == 40 - images.train
    assert not trained & {file_sha256(Path(name)) for name in found.label_first}


def test_images_with_doubtful_boxes_are_labelled_first(
    detecting: TrainResult,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of images that are alike, those in which the detector is the least certain of a class."""
    files = sorted(map(str, write(lambda number: scene(2000 + number).image).iterdir()))
    cache = detecting.run.parent / "cache"
    model = replace(make_detector(cache), limits=detecting.model.limits)
    model.save(tmp_path / "model")
    doubt = {
        one.image: (4 * one.probabilities * (1 - one.probabilities)).max()
        for one in model.predict(files)
    }
    assert len(set(doubt.values())) == len(files)
    monkeypatch.setattr("headstart.evaluation.shift._distances", lambda points, _: _ones(points))
    found = hs.shift(tmp_path / "model", files, label_first=9, cache=cache)
    assert list(found.label_first) == sorted(doubt, key=lambda image: -doubt[image])[:9]


def _ones(points: np.ndarray) -> np.ndarray:
    """Return equal distances."""
    return np.ones(len(points))


def test_a_detector_says_what_it_keeps(detecting: TrainResult) -> None:
    """In its card, and it is in its bundle."""
    known = detecting.model.limits.known
    card = (detecting.run / "bundle" / "README.md").read_text()
    count, dimensions = known.points.shape
    assert count == detecting.record.data.images.train
    assert (
        f"To know its limits, the model keeps: of {count} training images {dimensions} numbers "
        "that are computed from the features, the label and the hash of the file; six statistics "
        f"of {count} training images."
    ) in card
    loaded = hs.load(detecting.run, cache=detecting.run.parent / "cache").limits
    assert np.array_equal(loaded.known.points, known.points)
    assert (loaded.known.sha256s, loaded.known.labels) == (known.sha256s, known.labels)
    assert loaded.known.limit == known.limit
    assert np.array_equal(loaded.traits, detecting.model.limits.traits)


def test_a_detector_without_points(detecting: TrainResult, tmp_path: Path) -> None:
    """One of an earlier version predicts, and says why it cannot be asked."""
    replace(detecting.model, limits=Limits()).save(tmp_path / "model")
    cache = detecting.run.parent / "cache"
    image = scene(0).image
    earlier = hs.load(tmp_path / "model", cache=cache)
    assert earlier.predict(image).boxes == detecting.model.predict(image).boxes
    with pytest.raises(OptionError) as error:
        hs.shift(tmp_path / "model", [image], cache=cache)
    assert str(error.value) == (
        f"'{tmp_path / 'model'}' does not keep its training images as points, so other images "
        "cannot be compared with them: it was trained by an earlier version, or on fewer than 20 "
        "images or groups of them."
    )


def test_the_log_of_a_detector_has_no_features(detecting: TrainResult, tmp_path: Path) -> None:
    """It cannot be compared with the training images, and the error says what to do."""
    log = AnswerLog.at(tmp_path / "log", features=False)
    prediction = detecting.model.predict(scene(0).image)
    values = {"model": "run", "version": "1", "sha256": "00", "seconds": 0.1}
    log.add(prediction=prediction, features=np.zeros(0, np.float32), **values)
    log.write()
    with pytest.raises(DataError) as error:
        measure(detecting, tmp_path / "log")
    assert str(error.value) == (
        f"'{tmp_path / 'log'}' is the log of a server, which has no features of the images that a "
        "detector of boxes answered. Pass the images themselves."
    )


def test_the_command_line_for_a_detector(
    detecting: TrainResult, write: Callable[..., Path], capsys
) -> None:
    """It shows the same sentences and tables, and no accuracy."""
    arguments = ["shift", str(detecting.run), str(write(noise))]
    cache = ["--cache", str(detecting.run.parent / "cache")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, *cache])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "These 25 images differ from the training images (p = 0.002;" in shown
    assert "Unknown: 100.0% of the images" in shown
    assert "Label these first:" in shown
    assert "ccuracy" not in shown
    with pytest.raises(SystemExit):
        main([*arguments, "--json", *cache])
    values = json.loads(capsys.readouterr().out)
    assert (values["unknown"], values["estimated_accuracy"], values["ci95"]) == (1, None, None)
    assert len(values["label_first"]) == 20


def test_the_comparison_does_not_depend_on_an_interruption(
    detecting: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that ended while the images became points is resumed to the same bundle."""
    data = detecting.run.parent / "scenes"
    options = {**DETECTOR, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    with monkeypatch.context() as patched, pytest.raises(RunInterrupted):
        patched.setattr("headstart.commands.detecting.limits_of", _interrupt)
        hs.train(data, **options)
    hs.train(data, resume=True, **options)
    first, second = (read_bundle(run).tensors for run in (detecting.run, tmp_path / "run"))
    assert first.keys() == second.keys()
    assert {name for name in first if name.startswith("limits.known.")}
    for name, tensor in first.items():
        assert np.array_equal(tensor, second[name]), name


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
