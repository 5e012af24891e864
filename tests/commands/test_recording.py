"""What is recorded, shown and warned of about the estimates on folds, validation and test parts."""

import io
import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.tables import show_training
from headstart.commands.train import TrainResult
from headstart.record import Record
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher
from tests.conftest import COLOURS, picture

USED = "also chose the model and calibrated it, so these results are optimistic"


def add_part(photos: Path, part: str, count: int, *, swapped: bool = False) -> None:
    """Write new pictures of both classes, under the wrong labels if they are swapped."""
    for label, colour in (
        ("blue", "red" if swapped else "blue"),
        ("red", "blue" if swapped else "red"),
    ):
        (photos / part / label).mkdir(parents=True)
        for index in range(count):
            image = picture(
                sum(map(ord, part)) * 100 + index + 50 * (colour == "red"), COLOURS[colour]
            )
            image.save(photos / part / label / f"{index}.png")


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train with a validation part of eight images, which decides, and no test part."""
    root = tmp_path_factory.mktemp("validated")
    for part, count in (("train", 12), ("val", 4)):
        add_part(root / "photos", part, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.heads.choice.MIN_VAL_IMAGES", 8)
        patch.setattr("headstart.heads.choice._CONTRADICTION", -1.0)  # Always.
        options = QUICK | {"head": "auto"}
        return hs.train(
            root / "photos",
            out=root / "run",
            cache=root / "c",
            watcher=RecordingWatcher(),
            **options,
        )


def test_both_estimates_are_recorded(validated: TrainResult) -> None:
    """Each candidate has its estimate on 24 images in folds and on 8 validation images."""
    record = validated.record
    assert (record.chosen_on, record.val_used_for) == ("val", ("choice", "calibration"))
    assert record.why_chosen == "the average, weighted by log loss on the validation part"
    assert [(row.images, row.val.images) for row in record.choice] == [(24, 8)] * 3
    assert [row.chosen for row in record.choice] == [True, False, False]
    assert record.choice[1].val.log_loss <= record.choice[2].val.log_loss
    assert (record.test, record.validation.images) == (None, 8)
    assert Record.read(validated.run) == record


def test_without_a_test_part_the_validation_part_is_reported(validated: TrainResult) -> None:
    """The summary, the card and the report say what else it was used for."""
    assert validated.summary.context.startswith(" on 8 validation images, 95% interval ")
    assert validated.summary.context.endswith(f"; the validation part {USED}")
    card = (validated.run / "bundle/README.md").read_text()
    assert "Accuracy on 8 validation images: " in card
    assert f"The validation part {USED}." in card
    page = (validated.run / "report.html").read_text()
    assert f"this is the result on the validation part, which {USED}." in page
    assert "test accuracy" not in page


def test_json_has_both_estimates(validated: TrainResult) -> None:
    """`train --json` has the results on the validation part and all candidates."""
    values = json.loads(json.dumps(validated.to_json()))
    assert values["test"] is None
    assert values["validation"]["images"] == 8
    assert (values["chosen_on"], values["val_used_for"]) == ("val", ["choice", "calibration"])
    assert values["choice"][0]["val"]["images"] == 8
    assert (values["disagreements"], values["series"]) == ([], None)


def test_the_table_has_both_estimates(validated: TrainResult) -> None:
    """It names the images and the reason, and has a column for each estimate."""
    out = io.StringIO()
    show_training(Console(file=out, width=140), validated)
    assert (
        "Compared on held-out folds of 24 training images and on 8 validation images. Chosen: "
        "the average, weighted by log loss on the validation part.\n"
    ) in out.getvalue()
    header = next(line for line in out.getvalue().splitlines() if "features" in line)
    expected = ["features", "head", "folds", "folds 95%", "folds log loss"]
    expected += ["val", "val 95%", "val log loss", "share"]
    assert re.split(r" {2,}", header.strip()) == expected


@pytest.mark.parametrize("split", ["val", "all"])
def test_evaluate_says_what_the_validation_part_was_used_for(
    validated: TrainResult, split: str
) -> None:
    """The warning counts the images of that part among those evaluated."""
    watcher, root = RecordingWatcher(), validated.run.parent
    hs.evaluate(validated.run, root / "photos", split=split, cache=root / "c", watcher=watcher)
    share = "All of these 8" if split == "val" else "8 of these 32"
    assert watcher.warnings[-1] == (
        f"{share} images are in the validation part of the training, which {USED}."
    )


@pytest.fixture(scope="module")
def misled(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, RecordingWatcher]:
    """Train with too few validation images, and test images under the wrong labels."""
    root, watcher = tmp_path_factory.mktemp("misled"), RecordingWatcher()
    for part, count, swapped in (("train", 12, False), ("val", 4, False), ("test", 6, True)):
        add_part(root / "photos", part, count, swapped=swapped)
    result = hs.train(root / "photos", out=root / "run", cache=root / "c", watcher=watcher, **QUICK)
    return result, watcher


def test_folds_that_mislead_are_named(misled: tuple[TrainResult, RecordingWatcher]) -> None:
    """The disagreement is in the terminal, the record and the first card of the report."""
    result, watcher = misled
    (found,) = result.record.disagreements
    assert (found.part, found.folds, found.measured) == ("test", 1.0, 0.0)
    assert watcher.warnings[-1] == found.message
    page = (result.run / "report.html").read_text()
    card = page[page.index('class="card headline"') : page.index("</section>")]
    assert "Folds mislead here." in card and "--group" in card


def test_a_part_that_was_only_measured(misled: tuple[TrainResult, RecordingWatcher]) -> None:
    """Its estimate is shown, and evaluating it is not called optimistic."""
    result, _ = misled
    assert (result.record.chosen_on, result.record.val_used_for) == ("folds", ())
    assert result.record.choice[0].val.images == 8
    assert "the validation part has only 8 images, and 100 are needed" in result.record.why_chosen
    watcher, root = RecordingWatcher(), result.run.parent
    hs.evaluate(result.run, root / "photos", split="val", cache=root / "c", watcher=watcher)
    (warning,) = watcher.warnings
    assert warning == (
        "All of these 8 images are in the validation part of the training, which was not used to "
        "choose or calibrate the model."
    )


def test_series_are_kept_together_unless_there_are_groups(tmp_path: Path) -> None:
    """Frames of one subject are a group of the folds, and a pattern is suggested, which groups them
    in the split as well."""
    for subject in range(12):
        label = ("blue", "red")[subject % 2]
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        base = picture(subject, COLOURS[label])
        for frame in range(4):
            shifted = base.transform(base.size, 0, (1, 0, frame * 2, 0, 1, frame * 2))
            shifted.save(tmp_path / f"photos/{label}/clip{subject}_{frame}.png")
    options = QUICK | {"cache": tmp_path / "c", "test": 0.0}
    watcher = RecordingWatcher()
    found = hs.train(tmp_path / "photos", out=tmp_path / "a", watcher=watcher, **options)
    series = found.record.series
    assert (series.count, series.images) == (12, 48)
    assert series.message in watcher.warnings
    assert f"--group &#39;{series.pattern}&#39;" in (tmp_path / "a/report.html").read_text()
    rows = pq.read_table(tmp_path / "a" / "manifest.parquet").to_pylist()
    groups = {(row["image"].split("_")[0], row["group"]) for row in rows}
    assert len(groups) == len({group for _, group in groups}) == 12
    shutil.rmtree(tmp_path / "a")
    grouped = hs.train(tmp_path / "photos", out=tmp_path / "a", group=series.pattern, **options)
    assert grouped.record.series is None
