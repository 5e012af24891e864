"""What train measures besides: doubtful labels, shortcuts, an earlier run, the learning curve."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError, HeadstartWarning, OptionError
from headstart.record import Record
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture


@pytest.fixture(scope="module")
def studied(trained: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train again on the photos, in which a test image of each class has the wrong label."""
    root = tmp_path_factory.mktemp("studied")
    return hs.train(
        trained.run.parent / "photos",
        out=root / "run",
        cache=trained.run.parent / "cache",
        compare=trained.run,
        learning_curve=True,
        progress=False,
        **QUICK,
    )


def test_wrong_labels_of_the_test_part_are_doubted(studied: TrainResult) -> None:
    """Accuracy is given as labelled, and without them beside it."""
    audit = studied.record.label_audit
    assert audit is not None
    assert {one.image for one in audit.suspects} == {"test/blue/000.png", "test/red/000.png"}
    assert audit.given == studied.record.test.verdict == "83.3% correct"
    assert audit.without == "100.0% correct"
    assert "The labels of 2 of 12 test images may be wrong." in audit.message
    assert "As labelled: 83.3% correct. Without them: 100.0% correct, which is opt" in audit.message


def test_an_earlier_run_is_compared_on_the_test_part(
    studied: TrainResult, trained: TrainResult
) -> None:
    """The same training gives the same model, so nothing differs."""
    compared = studied.record.compared
    assert compared is not None
    assert compared.models == (str(trained.run), "this model")
    assert (compared.split, compared.images) == ("test", 12)
    assert (compared.pairs[0].only_first, compared.pairs[0].only_second) == (0, 0)
    assert compared.pairs[0].differences[0].difference == 0


def test_few_images_have_no_learning_curve(studied: TrainResult) -> None:
    """It is said, not guessed."""
    assert studied.record.learning_curve is not None
    assert "24 images are too few" in studied.record.learning_curve.sentence


def test_the_record_and_the_report_have_all_of_it(studied: TrainResult) -> None:
    """The record is read as it was written."""
    assert Record.read(studied.run) == studied.record
    page = (studied.run / "report.html").read_text(encoding="utf-8")
    for heading in ("Labels that may be wrong", "Learning curve", "Compared with an earlier run"):
        assert heading in page
    values = studied.to_json()
    assert values["label_audit"]["given"] == "83.3% correct"
    assert values["compared"]["images"] == 12


def test_a_class_that_its_file_format_gives_away_is_named(tmp_path: Path) -> None:
    """Before anything is trained."""
    for label in COLOURS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(14):
            suffix = "jpg" if label == "red" else "png"
            image = picture(number + 100 * len(label), COLOURS[label])
            image.save(tmp_path / "photos" / label / f"{number}.{suffix}")
    with pytest.warns(HeadstartWarning, match=r"The file format alone tells 'red' apart"):
        result = hs.train(
            tmp_path / "photos", out=tmp_path / "run", cache=tmp_path, progress=False, **QUICK
        )
    assert result.record.shortcuts[0].classes[0].name == "red"
    assert "Shortcuts" in (result.run / "report.html").read_text(encoding="utf-8")


def test_runs_that_cannot_be_compared_are_errors_before_training(
    trained: TrainResult, tmp_path: Path
) -> None:
    """Other classes, and no test images."""
    shutil.copytree(trained.run.parent / "photos" / "train", tmp_path / "cats")
    for old, new in (("blue", "cat"), ("red", "dog")):
        (tmp_path / "cats" / old).rename(tmp_path / "cats" / new)
    values = {"cache": tmp_path, "compare": trained.run, "progress": False, **QUICK}
    with pytest.raises(DataError, match=r"has other classes \('blue', 'red'\)"):
        hs.train(tmp_path / "cats", out=tmp_path / "run", **values)
    with pytest.raises(OptionError, match="no effect without test images"):
        photos = trained.run.parent / "photos" / "train"
        hs.train(photos, out=tmp_path / "run", test=0.0, **values)


def test_classes_that_the_earlier_run_lacks_are_left_out(
    trained: TrainResult, tmp_path: Path
) -> None:
    """It is said, and their images are not counted."""
    shutil.copytree(trained.run.parent / "photos", tmp_path / "photos")
    for part, count in (("train", 8), ("test", 4)):
        folder = tmp_path / "photos" / part / "green"
        folder.mkdir()
        for number in range(count):
            image: Image.Image = picture(number + 100 * count, COLOURS["green"])
            image.save(folder / f"{number}.png")
    with pytest.warns(HeadstartWarning, match="Left out: 'green'"):
        result = hs.train(
            tmp_path / "photos",
            out=tmp_path / "run",
            cache=tmp_path,
            compare=trained.run,
            progress=False,
            **QUICK,
        )
    assert result.record.compared.images == 12
    assert result.record.compared.left_out == ("green",)
