"""Train: from a folder of images to a measured model."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.backbones.backbone import Backbone
from headstart.commands.train import TrainResult
from headstart.errors import OptionError
from headstart.record import Counts, Record
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture

MakeFolder = Callable[..., Path]
RANDOM = "The weights of 'test_efficientnet' are random, not pretrained. Use this for tests only."


class RecordingWatcher:
    """A watcher that records stages, warnings and the last progress."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.last: dict[str, tuple[int, int]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """See `Watcher.stage`."""
        self.stages.append(name)
        yield lambda done, total: self.last.__setitem__(name, (done, total))

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        self.warnings.append(text)


def forbid_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every attempt to run a network fail."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an engine was built")

    monkeypatch.setattr("headstart.features.extractor.make_engine", refuse)


def test_the_files_of_a_run(trained: TrainResult) -> None:
    """A run is a record, a manifest, test predictions, a report and a bundle, nothing else."""
    run = trained.run
    assert sorted(path.name for path in run.iterdir()) == [
        *("bundle", "manifest.parquet", "metrics.json", "report.html", "test_predictions.parquet"),
    ]
    bundle = sorted(path.name for path in (run / "bundle").iterdir())
    assert bundle == ["README.md", "config.json", "model.safetensors"]
    assert sorted(path.name for path in run.parent.iterdir()) == ["cache", "photos", "run"]


def test_metrics_json_is_the_record(trained: TrainResult) -> None:
    """The returned record and the record on disk are the same."""
    assert Record.read(trained.run) == trained.record


def test_the_record_describes_the_model(trained: TrainResult) -> None:
    """Backbone, weights, size, seed, options and the resolved values of "auto" are recorded."""
    record = trained.record
    assert (record.backbone, record.weights) == ("test_efficientnet", "random")
    assert (record.image_size, record.seed, record.tuned) == (64, 0, None)
    assert record.precision in ("bf16", "float32")
    assert record.options["precision"] == "auto"
    assert record.options["head"] == "linear"
    assert record.data.images == Counts(train=24, val=0, test=12, rejected=0)
    assert set(record.seconds) >= {"scan", "extract", "head", "tune", "total"}


def test_the_manifest_has_a_row_for_each_image(trained: TrainResult) -> None:
    """Name, label and split of every image are in the manifest."""
    rows = pq.read_table(trained.run / "manifest.parquet").to_pylist()
    entries = {(row["image"], row["label"], row["split"]) for row in rows}
    assert len(rows) == 36
    assert ("train/blue/000.png", "blue", "train") in entries
    assert ("test/red/005.png", "red", "test") in entries


def test_the_predictions_of_the_test_images_are_kept(trained: TrainResult) -> None:
    """Each test image has a row with its truth, its prediction and all probabilities."""
    table = pq.read_table(trained.run / "test_predictions.parquet")
    assert table.column_names == ["image", "truth", "predicted", "probability", "p_blue", "p_red"]
    rows = table.to_pylist()
    test = hs.open_images(trained.run.parent / "photos").test
    assert [row["image"] for row in rows] == test.names
    assert [row["truth"] for row in rows] == [test.classes[number] for number in test.labels]
    expected = trained.model.probabilities_of(test)
    np.testing.assert_allclose([[row["p_blue"], row["p_red"]] for row in rows], expected)
    for row in rows:
        assert row["probability"] == row[f"p_{row['predicted']}"] >= 0.5
    correct = np.mean([row["truth"] == row["predicted"] for row in rows])
    assert correct == trained.record.test.accuracy == pytest.approx(10 / 12)


def test_the_report_names_data_and_classes(trained: TrainResult) -> None:
    """The report is an HTML page with the data, the classes and the mistakes."""
    page = (trained.run / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "photos" in page and "blue" in page
    assert page.count('class="views"') == 2  # Two mistakes, with heat maps.
    assert page.count('alt="Heat map of ') == 2
    assert page.count('alt="Training image ') == 6


def test_the_model_card_has_the_test_result(trained: TrainResult) -> None:
    """The card has classes, backbone, and the test accuracy with its interval."""
    card = (trained.run / "bundle/README.md").read_text()
    assert card.startswith("---\nlibrary_name: headstart\n")
    assert "\n---\n# Image classifier with 2 classes\n" in card
    assert "- Classes: blue, red\n" in card
    assert "- Backbone: test_efficientnet\n- Weights: random\n" in card
    assert "Accuracy on 12 held-out test images: 83.3% (95% interval " in card


def test_the_summary_is_plain_json(trained: TrainResult) -> None:
    """The output of `--json` survives a round trip."""
    summary = trained.to_json()
    assert json.loads(json.dumps(summary)) == summary


def test_a_watcher_receives_stages_and_progress(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Stages come in order, and progress ends at the number of images."""
    watcher = RecordingWatcher()
    hs.train(make_folder(), out=tmp_path / "run", cache=tmp_path / "c", watcher=watcher, **QUICK)
    assert watcher.stages == [
        "Checking images",
        "Loading the backbone",
        "Preparing the network",
        "Extracting features",
        "Training the head",
        "Evaluating",
        "Writing the report",
    ]
    assert watcher.last["Checking images"] == (24, 24)
    assert watcher.last["Extracting features"] == (24, 24)


def test_warnings_reach_the_watcher_and_the_run(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Warnings about copies and weights reach the watcher; what concerns the data is recorded."""
    folder, watcher = make_folder(), RecordingWatcher()
    shutil.copy(folder / "red/000.png", folder / "red/copy.png")
    result = hs.train(folder, out=tmp_path / "run", cache=tmp_path / "c", watcher=watcher, **QUICK)
    duplicates = "Duplicates, each kept on the same side of the split: 1."
    assert watcher.warnings == [duplicates, RANDOM]
    assert result.record.warnings == (duplicates,)


def test_an_earlier_run_is_kept_and_named(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an output, the second run says where it goes and that the first is kept."""
    make_folder()
    monkeypatch.chdir(tmp_path)
    runs, watchers = [], [RecordingWatcher(), RecordingWatcher()]
    for watcher in watchers:
        runs.append(hs.train("photos", cache="c", watcher=watcher, **QUICK).run)
    assert runs == [Path("runs/photos"), Path("runs/photos-2")]
    assert not any("so this run goes to" in text for text in watchers[0].notes)
    kept = "'runs/photos' exists and is kept, so this run goes to 'runs/photos-2'."
    assert kept in watchers[1].notes and watchers[1].warnings == [RANDOM]


def test_a_licence_that_forbids_commercial_use_warns(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning names the backbone and the licence, and the bundle keeps the licence."""
    monkeypatch.setattr(Backbone, "licence", "cc-by-nc-4.0")
    watcher = RecordingWatcher()
    result = hs.train(
        make_folder(), out=tmp_path / "run", cache=tmp_path / "c", watcher=watcher, **QUICK
    )
    assert watcher.warnings == [
        (
            "Weights of 'test_efficientnet': licence cc-by-nc-4.0, which does not allow "
            "commercial use."
        ),
        RANDOM,
    ]
    config = json.loads((result.run / "bundle/config.json").read_text())
    assert config["backbone"]["licence"] == "cc-by-nc-4.0"


def test_a_second_training_runs_no_network(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stored features, no engine is built, and the result is the same."""
    forbid_engines(monkeypatch)
    root = trained.run.parent
    again = hs.train(root / "photos", out=tmp_path / "run", cache=root / "cache", **QUICK)
    assert again.record.test == trained.record.test


def test_another_head_runs_no_network(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads and kinds of features share the store."""
    forbid_engines(monkeypatch)
    root, options = trained.run.parent, QUICK | {"head": "nearest", "features": "multilevel"}
    again = hs.train(root / "photos", out=tmp_path / "run", cache=root / "cache", **options)
    assert (again.record.head, again.record.features) == ("nearest", "multilevel")


def test_only_added_images_run_the_network(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If images are added, the network processes only the new ones."""
    folder, watcher = make_folder(), RecordingWatcher()
    hs.train(folder, out=tmp_path / "one", cache=tmp_path / "c", **QUICK)
    for index in range(3):
        picture(5000 + index, COLOURS["red"]).save(folder / "red" / f"new{index}.png")
    hs.train(folder, out=tmp_path / "two", cache=tmp_path / "c", watcher=watcher, **QUICK)
    assert watcher.last["Extracting features"] == (3, 3)


def test_the_same_training_gives_the_same_model(
    trained: TrainResult, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """With the same images, seed and precision, an empty cache gives the same numbers."""
    photos = trained.run.parent / "photos"
    # With an empty cache, the timing could choose another precision.
    options = QUICK | {"precision": trained.record.precision}
    again = hs.train(photos, out=tmp_path / "run", cache=tmp_path / "cache", **options)
    for name in ("test", "choice"):
        assert getattr(again.record, name) == getattr(trained.record, name)


def test_the_image_size_follows_the_photos(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Without an image size, photos slightly larger than the network's size keep theirs."""
    for number, label in enumerate(("blue", "red")):
        (tmp_path / "large" / label).mkdir(parents=True)
        for index in range(6):
            image = picture(number * 100 + index, COLOURS[label], side=192)
            image.save(tmp_path / "large" / label / f"{index}.png")
    options = QUICK | {"image_size": None}
    result = hs.train(tmp_path / "large", out=tmp_path / "r", cache=tmp_path / "c", **options)
    assert result.record.image_size == 192


def test_a_validation_part_is_not_used_for_training(trained: TrainResult, tmp_path: Path) -> None:
    """Images of val/ are counted separately and are not used for training."""
    photos = tmp_path / "photos"
    shutil.copytree(trained.run.parent / "photos", photos)
    (photos / "val").mkdir()
    for label in ("blue", "red"):
        (photos / "val" / label).mkdir()
        for index in range(4):
            image = picture(9000 + index + 50 * (label == "red"), COLOURS[label])
            image.save(photos / "val" / label / f"{index}.png")
    result = hs.train(photos, out=tmp_path / "run", cache=tmp_path / "cache", **QUICK)
    expected = Counts(train=24, val=8, test=12, rejected=0)
    assert result.record.data.images == expected


def test_test_labels_do_not_affect_the_model(trained: TrainResult, tmp_path: Path) -> None:
    """With swapped labels of the test part, the model is exactly the same."""
    photos = tmp_path / "photos"
    shutil.copytree(trained.run.parent / "photos", photos)
    (photos / "test/blue").rename(photos / "test/other")
    (photos / "test/red").rename(photos / "test/blue")
    (photos / "test/other").rename(photos / "test/red")
    # With an empty cache, the timing could choose another precision.
    options = QUICK | {"precision": trained.record.precision}
    other = hs.train(photos, out=tmp_path / "run", cache=tmp_path / "cache", **options)
    images = hs.open_images(photos, cache=tmp_path / "cache").all
    probabilities = [model.model.probabilities_of(images) for model in (trained, other)]
    assert np.array_equal(*probabilities)
    swapped = 1 - trained.record.test.accuracy
    assert other.record.test.accuracy == pytest.approx(swapped)


def test_an_unknown_option_suggests_the_nearest(make_folder: MakeFolder) -> None:
    """Keyword arguments are the options of the command line; unknown ones are an error."""
    with pytest.raises(OptionError, match=r"^Unknown option 'bakbone'\. Did you mean 'backbone'"):
        hs.train(make_folder(), bakbone="x")


def test_an_invalid_value_lists_the_valid_values(make_folder: MakeFolder) -> None:
    """An unknown head lists the available heads."""
    with pytest.raises(OptionError) as error:
        hs.train(make_folder(), head="forest")
    assert str(error.value) == (
        "Option 'head' cannot be 'forest': "
        "Input should be 'auto', 'linear', 'kernel', 'mlp' or 'nearest'."
    )


def test_a_result_shows_itself_in_one_line(trained: TrainResult) -> None:
    """The text has the evaluation and the run."""
    pattern = r"TrainResult\(\d+\.\d% correct on 12 test images, 95% interval .*, run='.*/run'\)"
    assert re.fullmatch(pattern, repr(trained))


def test_a_notebook_shows_the_evaluation_and_a_link(trained: TrainResult) -> None:
    """The link to the report is a relative address if the run's path is relative."""
    address = (trained.run / "report.html").as_uri()
    html = trained._repr_html_()
    assert html.startswith("<p>")
    assert "% correct on 12 test images" in html
    assert f'<a href="{address}">' in html
    relative = replace(trained, run=Path("runs/<i> 1"))._repr_html_()
    assert '<a href="runs/%3Ci%3E%201/report.html">' in relative


def test_a_result_without_test_images(trained: TrainResult) -> None:
    """The text says that the model was not evaluated."""
    text = repr(replace(trained, summary=None, run=Path("runs/a")))
    assert text == "TrainResult(not evaluated, because there are no test images, run='runs/a')"


def test_the_time_spent_is_all_of_it(trained: TrainResult) -> None:
    """The parts, including those after the record is complete, add up to nearly the total."""
    parts = {name: taken for name, taken in trained.seconds.items() if name != "total"}
    assert {"scan", "load", "prepare", "extract", "head", "evaluate", "write"} <= set(parts)
    total, spent = trained.seconds["total"], sum(parts.values())
    assert total - max(0.1 * total, 0.2) < spent <= total + 0.01
