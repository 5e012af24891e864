"""Train on images with boxes: from a data set to a measured detector."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import headstart as hs
from headstart.answers import Thresholds
from headstart.commands.detecting import too_short
from headstart.commands.train import TrainResult, run_training
from headstart.data.boxes.labels import LabelledBox, read_boxes
from headstart.detection import fitting
from headstart.detection.maps import FrozenMaps
from headstart.detection.training import DetectionTraining
from headstart.errors import DataError, OptionError, RunInterrupted
from headstart.options import TrainOptions
from headstart.predictor.bundle import read_bundle
from headstart.predictor.detector import Detector
from headstart.record import Counts, DetectionCourse, DetectionEpoch, Record
from headstart.tasks.boxes import LabelledBoxes
from tests.commands.test_train import RecordingWatcher
from tests.conftest import TINY
from tests.detection.scenes import (
    Scene,
    background,
    scene,
    scenes,
    write_coco,
    write_csv,
    write_yolo,
)

QUICK = {
    "backbone": TINY,
    "weights": "random",
    "image_size": 64,
    "epochs": 2,
    "views": 2,
    "precision": "float32",
    "deterministic": True,
}
COUNT = 16
pytestmark = pytest.mark.usefixtures("run_in_pytorch")
# At these thresholds, every detection counts.
LOW = Thresholds("precision=0.9", (0.0, 0.0), ("", ""))


@pytest.fixture(scope="module")
def made():
    """Scenes, one of them without boxes."""
    return scenes(COUNT) | {"empty.png": Scene(background(99, (96, 72)), ())}


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory) -> TrainResult:
    """Train on YOLO's files; next to the run are `scenes` and `cache`."""
    root = tmp_path_factory.mktemp("trained")
    data = write_yolo(root / "scenes", made)
    return hs.train(data, out=root / "run", cache=root / "cache", **QUICK)


@pytest.fixture
def train(trained, tmp_path):
    """Return a function that trains with the cache of the first training."""

    def run(data=None, **options):
        root = trained.run.parent
        options = QUICK | {"cache": root / "cache"} | options
        options = {name: value for name, value in options.items() if value is not None}
        return hs.train(data or root / "scenes", out=tmp_path / "run", **options)

    return run


def test_the_result_is_a_detector(trained, made):
    """That is in the bundle of the run, and predicts the same when it is read again."""
    assert isinstance(trained.model, Detector)
    images = np.stack([trained.model.preprocess.pixels(one.image) for one in made.values()])
    bundle = read_bundle(trained.run)
    again = Detector.of_bundle(bundle, LabelledBoxes(), cache=trained.run.parent / "cache")
    assert np.array_equal(again.engine.infer(images), trained.model.engine.infer(images))
    assert again.thresholds == trained.model.thresholds
    assert again.record == trained.record.without_times()
    assert repr(trained.model).startswith("Detector(test_efficientnet; classes: 'disc', 'square'; ")


def test_the_record_describes_the_training(trained, made):
    """What was found, held out and measured, and how it was trained."""
    record = trained.record
    assert (record.task, record.head, record.features) == ("boxes", "boxes", "maps")
    assert (record.backbone, record.weights, record.image_size) == (TINY, "random", 64)
    counts = record.data.images
    assert counts == Counts(counts.train, 0, counts.test, 0)
    assert counts.train + counts.test == COUNT + 1
    assert counts.test > 0
    course = record.detection
    assert [epoch.epoch for epoch in course.history] == [1, 2]
    assert all(epoch.map is not None and np.isfinite(epoch.train_loss) for epoch in course.history)
    assert course.best_epoch in (1, 2)
    assert [(epoch.epoch, epoch.map) for epoch in course.refit] == [(1, None), (2, None)]
    assert (course.views, course.chosen_on) == (2, "train")
    assert 0 < course.held_out < counts.train / 3
    assert course.learning_rate == 2e-3
    assert course.setting.startswith("float32")
    boxes = sum(len(one.boxes) for one in made.values())
    assert sum(record.data.trained_on) + record.test.boxes == boxes


def test_the_size_of_the_store_is_recorded(trained):
    """It is that of the files."""
    folder = trained.run.parent / "cache/boundary"
    written = sum(path.stat().st_size for path in folder.iterdir())
    # Other tests of this module share the cache, and may have added to it.
    assert 0 < trained.record.detection.store_bytes <= written


def test_metrics_json_has_the_metrics_of_coco(trained):
    """mAP50-95 and mAP50 with their intervals, and the results of each class."""
    assert Record.read(trained.run) == trained.record
    values = json.loads((trained.run / "metrics.json").read_text())
    test = values["test"]
    for name, metric in (("map", trained.record.test.map), ("map50", trained.record.test.map50)):
        assert test[name]["value"] == metric.value
        assert 0 <= test[name]["value"] <= 1
    assert [one["name"] for one in test["per_class"]] == ["disc", "square"]
    assert values["task"] == "boxes"
    json.dumps(trained.to_json())


def test_the_test_images_are_measured_once_more_the_same(trained):
    """By predicting them again, and measuring with the detector's thresholds."""
    from headstart.commands.found_boxes import evaluate_part

    images = hs.open_images(trained.run.parent / "scenes", cache=trained.run.parent / "cache").test
    evaluation, found = evaluate_part(trained.model, images)
    assert evaluation == trained.record.test
    assert found.sizes == [(96, 72)] * len(images)
    assert len(found.truths) == len(found.detections) == len(images)


def test_the_files_of_a_run(trained):
    """The report shows pictures with boxes; nothing is left unfinished."""
    names = {path.name for path in trained.run.iterdir()}
    assert {"bundle", "manifest.parquet", "metrics.json", "report.html"} <= names
    assert "unfinished.json" not in names
    report = (trained.run / "report.html").read_text()
    assert "data:image/" in report
    assert len(re.findall(r"<rect\b", report)) >= trained.record.test.boxes
    assert "disc" in report and "mAP50" in report
    rows = pq.read_table(trained.run / "manifest.parquet").to_pylist()
    assert {row["label"] for row in rows if row["image"].endswith("empty.png")} == {"[]"}
    assert not list((trained.run.parent / "cache/tuning").rglob("*.safetensors"))


def test_the_summary_is_that_of_the_test_images(trained):
    """In one line."""
    pattern = r"TrainResult\(mAP50 \d\.\d{3}.* on \d+ test images with \d+ boxes.*, run='.*/run'\)"
    assert re.fullmatch(pattern, repr(trained))


def test_the_same_training_gives_the_same_detector(trained, train):
    """With `deterministic`, to the bit."""
    again = train()
    first, second = (read_bundle(result.run) for result in (trained, again))
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert np.array_equal(tensor, second.tensors[name]), name
    assert again.record.test == trained.record.test


@pytest.mark.parametrize("write", [write_coco, write_csv])
def test_every_format_trains_the_same_detector(trained, train, made, tmp_path, write):
    """COCO's JSON and a table of boxes have the same images and boxes as YOLO's files."""
    again = train(write(tmp_path / "data", made))
    assert again.record.data.classes == ("disc", "square")
    assert again.record.data.trained_on == trained.record.data.trained_on
    assert again.record.data.images == trained.record.data.images
    assert again.record.test.map == trained.record.test.map


def test_a_given_split_is_kept(train, made, tmp_path):
    """Images of val/ choose the epoch, those of test/ are measured, both apart from training."""
    data = tmp_path / "data"
    parts = {"train": slice(0, 8), "val": slice(8, 12), "test": slice(12, 16)}
    for part, chosen in parts.items():
        write_yolo(data / part, dict(list(made.items())[chosen]))
    (data / "data.yaml").write_text("names: [disc, square]\n")
    result = train(data)
    assert result.record.data.images == Counts(8, 4, 4, 0)
    assert (result.record.detection.chosen_on, result.record.detection.held_out) == ("val", 4)
    assert result.record.detection.refit == ()
    assert result.record.validation.images == result.record.test.images == 4
    assert result.record.val_used_for == ("choice", "calibration")


def test_one_class_is_enough(train, tmp_path):
    """It may be in every image."""
    made = scenes(10, classes=("disc",))
    result = train(write_yolo(tmp_path / "data", made, ("disc",)))
    assert result.record.data.classes == ("disc",)
    assert result.record.test.boxes > 0
    assert len(result.model.thresholds.values) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_to_hold_some_out(train, tmp_path, count):
    """The last epoch is kept, and nothing is measured if there is no test image."""
    watcher = RecordingWatcher()
    result = train(write_yolo(tmp_path / "data", scenes(count)), watcher=watcher, test=0)
    assert result.record.data.images.train == count
    assert result.record.test is None
    assert result.summary is None
    course = result.record.detection
    if count == 1:
        assert (course.held_out, course.best_epoch) == (0, 2)
        assert course.history[0].map is None
        assert set(result.model.thresholds.values) == {0.5}
    assert result.model.predict(Image.new("RGB", (30, 50))).size == (30, 50)


def test_images_without_boxes_are_background(train, made, tmp_path):
    """Many of them are no error, in training, among those held out and in the test part."""
    empty = {f"e{n}.png": Scene(background(500 + n, (96, 72)), ()) for n in range(20)}
    some = dict(list(made.items())[:6])
    result = train(write_yolo(tmp_path / "data", some | empty))
    assert result.record.data.images.train + result.record.data.images.test == 26
    assert result.record.data.images.rejected == 0


def test_a_set_without_any_box_is_an_error(train, tmp_path):
    """It says so."""
    empty = {f"e{n}.png": Scene(background(500 + n, (96, 72)), ()) for n in range(4)}
    with pytest.raises(DataError, match="box"):
        train(write_yolo(tmp_path / "data", empty))


def test_crowds_are_neither_learnt_nor_errors(train, made, tmp_path):
    """COCO's `iscrowd` is kept."""
    boxes = (LabelledBox("disc", 5, 5, 60, 60, crowd=True),)
    crowd = {f"c{n}.png": Scene(background(700 + n, (96, 72)), boxes) for n in range(4)}
    result = train(write_coco(tmp_path / "data", dict(list(made.items())[:8]) | crowd))
    assert result.record.data.images.train + result.record.data.images.test == 12


def test_epochs_views_batch_size_and_rate_have_an_effect(train):
    """They are those of the course."""
    result = train(epochs=3, views=1, batch_size=4, learning_rate=1e-3)
    course = result.record.detection
    assert len(course.history) == 3
    assert (course.views, course.batch_size, course.learning_rate) == (1, 4, 1e-3)


def test_the_number_of_epochs_follows_the_images_and_classes(train, trained, monkeypatch):
    """Without --epochs."""
    asked = []
    monkeypatch.setattr(
        "headstart.detection.stored.epochs_for", lambda *count: asked.append(count) or 2
    )
    result = train()
    assert asked == [(trained.record.data.images.train, 2)]
    assert len(result.record.detection.history) == 2


def test_minutes_end_a_training_early(train):
    """After the first epoch at the earliest; the run is complete."""
    result = train(minutes=1e-6, epochs=50, deterministic=False)
    assert len(result.record.detection.history) == 1
    assert result.record.detection.best_epoch == 1
    assert not (result.run / "unfinished.json").exists()


def test_too_little_disk_space_is_an_error(train, tmp_path):
    """It has both sizes and the options that help; no run is left."""
    with pytest.raises(OptionError) as error:
        train(store_gb=1e-5)
    assert re.fullmatch(
        r"The maps of \d+ images in up to 2 views take 0\.000\d+ GB, and 1e-05 GB may be used\. "
        r"Use a lower --views or --image-size, or a higher --store-gb\.",
        str(error.value),
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"head": "mlp"}, "--head mlp"),
        ({"features": "last"}, "--features last"),
        ({"augment": "dihedral"}, "--augment dihedral"),
        ({"balanced": True}, "--balanced"),
        ({"fit": "crop"}, "--fit crop"),
        ({"mixup": 0.2}, "--mixup 0.2"),
        ({"keep_examples": 5}, "--keep-examples 5"),
    ],
)
@pytest.mark.parametrize("task", ["auto", "boxes"])
def test_options_of_labels_are_refused(train, tmp_path, options, flag, task):
    """Before any work is done, whether or not the task was named."""
    with pytest.raises(OptionError) as error:
        train(task=task, **options)
    assert str(error.value) == f"{flag} has no effect on a detector of boxes. Remove it."
    assert not (tmp_path / "run").exists()


def test_an_operating_point_that_boxes_do_not_have_is_refused(train):
    """There are no true negatives."""
    with pytest.raises(OptionError, match="operating_point cannot be 'specificity=0"):
        train(operating_point="specificity=0.9")


def test_an_operating_point_chooses_the_thresholds(train):
    """It is that of the detector."""
    result = train(operating_point="precision=0.9")
    assert result.model.thresholds.purpose == "precision=0.9"
    assert result.record.test.purpose == "precision=0.9"


@pytest.mark.parametrize("task", ["single", "multi"])
def test_boxes_are_no_labels_of_images(trained, tmp_path, task):
    """The error says what the data has."""
    options = {"out": tmp_path / "run", "cache": tmp_path, "backbone": TINY, "weights": "random"}
    with pytest.raises(DataError) as error:
        hs.train(trained.run.parent / "scenes", task=task, **options)
    assert str(error.value) == (
        f"'{trained.run.parent / 'scenes'}' has no class folders, but boxes in YOLO's label files. "
        "Omit --task, or pass --task boxes."
    )


def test_a_folder_of_classes_has_no_boxes(trained, make_folder, tmp_path):
    """`--task boxes` says so, and what would be boxes."""
    with pytest.raises(DataError, match="box"):
        hs.train(make_folder(4), task="boxes", out=tmp_path / "run", cache=tmp_path, **QUICK)


def test_what_steers_a_detector_has_no_effect_on_labels_without_tuning(make_folder, tmp_path):
    """As before, once it is known that the data has no boxes."""
    with pytest.raises(OptionError) as error:
        hs.train(make_folder(4), out=tmp_path / "run", cache=tmp_path, backbone=TINY, epochs=3)
    assert str(error.value) == (
        "--epochs 3 has no effect without fine-tuning. Add --tune, such as --tune auto."
    )


def test_a_turned_photo_is_learnt_where_it_is_seen(train, made, tmp_path):
    """Sizes, pictures and metrics are those of the image that is seen."""
    data = write_yolo(tmp_path / "data", made)
    for path in sorted((data / "images").iterdir())[:8]:
        exif = Image.Exif()
        exif[0x0112] = 6
        with Image.open(path) as image:
            stored = image.transpose(Image.Transpose.ROTATE_90)
        stored.save(path, exif=exif)
    result = train(data)
    names = sorted((data / "images").iterdir())
    assert [one.size for one in result.model.predict(names)] == [(96, 72)] * len(names)


def test_another_run_warns_of_an_unfinished_one(train, trained, monkeypatch):
    """A training that was killed is named with its progress, and not overwritten."""
    run = DetectionTraining._end_epoch
    calls = []

    def end(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        run(self, *arguments)

    monkeypatch.setattr(DetectionTraining, "_end_epoch", end)
    with pytest.raises(RunInterrupted):
        train(seed=5)
    monkeypatch.setattr(DetectionTraining, "_end_epoch", run)
    watcher = RecordingWatcher()
    root = trained.run.parent
    options = QUICK | {"cache": root / "cache", "seed": 5, "watcher": watcher}
    hs.train(root / "scenes", out=root / "other", **options)
    (warning,) = [text for text in watcher.warnings if "earlier training" in text]
    assert "1 of 2 epochs" in warning
    resumed = train(seed=5, resume=True)
    assert len(resumed.record.detection.history) == 2


def test_shapes_are_learnt_in_seconds(tmp_path):
    """With the real weights of the default backbone, nearly all shapes are found."""
    made = {f"{number}.png": scene(number, size=(128, 128), count=2) for number in range(36)}
    data, options = write_yolo(tmp_path / "data", made), {"image_size": 128, "precision": "float32"}
    result = hs.train(data, out=tmp_path / "run", cache=tmp_path, epochs=6, views=2, **options)
    assert result.record.test.map50.value > 0.7
    assert result.record.test.map.value > 0.3


def test_large_images_are_cut_into_tiles(train, tmp_path):
    """In training, in the test and in predictions; `predict` can cut them more finely."""
    made = {
        f"{number}.png": scene(number, size=(150, 60 + 30 * (number % 2)), sides=(12, 30))
        for number in range(12)
    }
    data = write_yolo(tmp_path / "data", made)
    notes = RecordingWatcher()
    result = train(data, tiles=80, watcher=notes, epochs=12, learning_rate=0.02)
    images = result.record.data.images.train
    assert result.model.tiles == 80
    assert any(
        re.search(rf"The maps of {images} images, cut into \d\d tiles, in 2 views take", note)
        for note in notes.notes
    )
    assert result.record.detection.held_out < images
    assert result.record.test.images == result.record.data.images.test
    image = str(data / "images/1.png")
    (found,) = hs.predict(result.run, [image], cache=result.run.parent / "cache")
    assert found.boxes == result.model.predict(image).boxes
    (finer,) = hs.predict(result.run, [image], tiles=64, cache=result.run.parent / "cache")
    assert len(finer.detections) != len(found.detections)
    with pytest.raises(OptionError) as raised:
        hs.export(result.run, out=tmp_path / "export", images=data)
    assert str(raised.value) == (
        "This detector cuts images into tiles, which an exported network does not do. Use "
        "headstart serve or headstart predict, which do."
    )


def test_boxes_that_are_probably_missing_are_listed(train, trained, monkeypatch):
    """Of test images and of those on which thresholds were chosen, also in the report."""
    monkeypatch.setattr(fitting, "choose_thresholds", lambda matches, classes, purpose: LOW)
    result = train(epochs=8, learning_rate=0.02)
    missing = result.record.missing_boxes
    assert missing and list(missing) == sorted(missing, key=lambda one: -one.probability)
    assert {one.part for one in missing} == {"train", "test"}
    rows = pq.read_table(result.run / "manifest.parquet").to_pylist()
    parts, labels = ({row["image"]: row[name] for row in rows} for name in ("split", "label"))
    for one in missing:
        assert parts[one.image] == one.part
        for box in read_boxes(labels[one.image]):
            shared = intersection(one.box, box.corners)
            assert shared / (area(one.box) + area(box.corners) - shared) < 0.1
    assert "Labels that may be missing" in (result.run / "report.html").read_text()


def intersection(first, second):
    """Return the area that two boxes share."""
    both = list(zip(first, second, strict=True))
    (x1, y1), (x2, y2) = (max(pair) for pair in both[:2]), (min(pair) for pair in both[2:])
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def area(box):
    """Return the area of a box."""
    return intersection(box, box)


def test_views_are_as_many_as_fit_on_the_disk(train, tmp_path):
    """If nobody says how many."""
    result = train(write_yolo(tmp_path / "data", scenes(8)), views=None, store_gb=0.0005)
    course = result.record.detection
    assert 2 <= course.views < 24
    assert course.store_bytes <= 5e5


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory) -> TrainResult:
    """Fine-tune the last two stages of the backbone of the first training."""
    root = trained.run.parent
    options = QUICK | {"epochs": 6, "learning_rate": 0.01, "tune": "stages:2"}
    folder = tmp_path_factory.mktemp("tuned")
    return hs.train(root / "scenes", out=folder / "run", cache=root / "cache", **options)


def test_the_last_stages_are_tuned_with_the_head(tuned, trained):
    """They are used if the held-out images say so, trained again on all images."""
    course = tuned.record.detection
    tuning = course.tuning
    assert tuning.part == "stages:2"
    assert [epoch.epoch for epoch in tuning.history] == [1, 2, 3, 4, 5, 6]
    assert tuning.kept == (tuning.best_map > course.best_map)
    assert tuning.store_bytes > 0
    assert len(tuning.refit) == (6 if tuning.kept else 0)
    assert tuned.record.tuned == ("stages:2" if tuning.kept else None)
    changed = tuned.model.weights_sha256 != trained.model.weights_sha256
    assert changed
    backbones = [one.model.backbone.weights_sha256() for one in (tuned, trained)]
    assert (backbones[0] != backbones[1]) == tuning.kept
    text = (tuned.run / "report.html").read_text()
    assert "learned together with the head, for 6 epochs." in text
    assert ("the fine-tuned backbone is used" in text) == tuning.kept


@pytest.mark.parametrize("better", [True, False])
def test_tuned_stages_are_kept_only_if_they_are_better(train, monkeypatch, better):
    """By mAP on the held-out images; what predicts is what was measured."""
    best = DetectionTraining.best_map
    monkeypatch.setattr(
        DetectionTraining,
        "best_map",
        property(lambda self: (1 if better else -1) if self.recipe.epochs == 1 else best),
    )
    result = train(tune="stages:1", epochs=1)
    again = Detector.of_bundle(read_bundle(result.run), LabelledBoxes(), cache=result.run / "c")
    assert result.record.detection.tuning.kept is better
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    np.testing.assert_allclose(
        again.engine.infer(pixels), result.model.engine.infer(pixels), atol=1e-5
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("all", "'all' leaves no stage of the backbone frozen"),
        ("stages:99", "'stages:99' exceeds the backbone, which has"),
    ],
)
def test_stages_that_there_are_not(train, part, message):
    """The error says what is possible, before anything is trained."""
    watcher = RecordingWatcher()
    with pytest.raises(OptionError, match=message):
        train(tune=part, epochs=1, watcher=watcher)
    assert watcher.stages[-1] == "Loading the backbone"


def test_nothing_is_tuned_without_images_to_judge_it(train, tmp_path):
    """A warning says so."""
    watcher = RecordingWatcher()
    data = write_yolo(tmp_path / "data", scenes(1))
    result = train(data, tune="stages:1", test=0, watcher=watcher)
    assert result.record.detection.tuning is None
    assert any("too few images to hold some out" in text for text in watcher.warnings)


def test_too_little_space_for_tuning_leaves_the_frozen_detector(train, trained, monkeypatch):
    """What has been trained by then is not lost."""
    monkeypatch.setattr(
        "headstart.detection.fitting.store_below",
        lambda *arguments: FrozenMaps.check_room(arguments[0].maps, [arguments[0].train.plan], 1),
    )
    watcher = RecordingWatcher()
    result = train(tune="stages:1", watcher=watcher)
    (warning,) = [text for text in watcher.warnings if "Fine-tuning" in text]
    assert re.search(r"the backbone stays frozen: The maps of \d+ images .* may be used", warning)
    assert result.model.weights_sha256 == trained.model.weights_sha256


def test_stages_that_diverge_leave_the_frozen_detector(train, trained, monkeypatch):
    """Nothing that was learnt is lost; a warning says why."""
    monkeypatch.setattr(
        "headstart.detection.fitting.tuning_recipe",
        lambda recipe: replace(recipe, learning_rate=1e30, clip=1e30, batch_size=2),
    )
    watcher = RecordingWatcher()
    result = train(tune="stages:1", watcher=watcher)
    (warning,) = [text for text in watcher.warnings if "Fine-tuning" in text]
    assert warning.startswith("Fine-tuning failed, so the backbone stays frozen: The loss was")
    assert result.record.detection.tuning is None
    assert result.model.weights_sha256 == trained.model.weights_sha256


def test_too_little_is_said(tmp_path):
    """Too few images of a class, and too few epochs."""
    data = write_yolo(tmp_path / "one", {"one.png": scene(0, count=1)})
    watched = RecordingWatcher()
    result = run_training(
        data, TrainOptions.of(out=tmp_path / "run", cache=tmp_path / "cache", **QUICK), watched
    )
    name = result.record.data.classes[0]
    few = f"Classes with too few images: '{name}' (1). Add images with boxes of them."
    short = "The detector was trained for 2 epochs. By default, there are 80, so more may help."
    assert result.record.warnings == (few, short)
    assert {few, short} <= set(watched.warnings)
    report = (tmp_path / "run" / "report.html").read_text()
    assert "There are too few images to hold some out. Add images and train again" in report
    assert "<code>--test</code>" not in report


def test_a_training_that_was_too_short():
    """It is known if the last epoch was the best, and there were fewer than usual."""
    history = tuple(DetectionEpoch(n, 1.0, n / 10, n / 5, 1.0) for n in (1, 2))
    course = DetectionCourse(history, 2, 5, "train", 2, 0, "", None, 2, 2e-3, 16)
    assert too_short(course, 40) == (
        "The detector was trained for 2 epochs, and the last was the best (mAP50-95 0.200). By "
        "default, there are 40, so more may help."
    )
    assert too_short(course, 2) == too_short(replace(course, best_epoch=1), 40) == ""
