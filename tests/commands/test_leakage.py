"""Groups that are guessed, and what leakage between folds is worth."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.tables import show_training
from headstart.commands.leakage import TrainingGroups, groups_of, measure_leakage
from headstart.errors import OptionError
from headstart.record import Estimate, Leakage, Record
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher
from tests.conftest import picture

PATIENTS, EACH = 12, 4


def write_patients(folder: Path, header: str) -> Path:
    """Write a table of images of patients, who differ in colour and have one label each."""
    folder.mkdir()
    rows = [header]
    for patient in range(PATIENTS):
        label = ("cat", "dog")[patient % 2]
        colour = tuple(np.random.default_rng(patient).integers(0, 255, 3).tolist())
        for number in range(EACH):
            name = f"{chr(97 + patient)}{chr(97 + number)}.png"
            picture(patient * 100 + number, colour).save(folder / name)
            rows.append(f"{name},{label},P{patient}")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table whose column of the patients is not used."""
    return write_patients(tmp_path_factory.mktemp("patients") / "photos", "path,label,patient_no")


def test_a_column_that_may_be_groups_is_named(patients: Path, tmp_path: Path) -> None:
    """Training says which option to pass; with the option, it says nothing."""
    watcher = RecordingWatcher()
    result = hs.train(
        patients, out=tmp_path / "run", cache=tmp_path / "c", watcher=watcher, **QUICK
    )
    warning = (
        "The column 'patient_no' has 12 different values for 48 images; if images with the same "
        "value belong together, keep them on one side of the split with --group 'patient_no'."
    )
    assert warning in watcher.warnings
    assert warning in result.record.warnings
    assert result.record.leakage is None
    assert not hs.open_images(patients, group="patient_no").warnings


@pytest.mark.parametrize("group", [None, "patient_no"])
def test_leakage_is_measured(patients: Path, tmp_path: Path, group: str | None) -> None:
    """Folds that tear patients apart recognise them by their colours; others cannot."""
    options = {"group": group} if group else {}
    result = hs.train(
        patients, out=tmp_path / "run", cache=tmp_path / "c", leakage=True, **options, **QUICK
    )
    found = result.record.leakage
    assert found.source == ("given" if group else "column")
    assert found.ungrouped.images == found.grouped.images == result.record.data.images.train
    assert found.ungrouped.accuracy > found.grouped.accuracy + 0.05
    assert found.ungrouped.log_loss < found.grouped.log_loss
    low, high = found.difference_ci95
    assert low < found.ungrouped.accuracy - found.grouped.accuracy < high
    assert Record.read(result.run).leakage == found
    assert result.to_json()["leakage"]["grouped"]["accuracy"] == found.grouped.accuracy
    assert found.message in (result.run / "report.html").read_text()
    shown = io.StringIO()
    show_training(Console(file=shown, width=120), result)
    assert found.message in shown.getvalue()


def test_leakage_with_several_labels(tmp_path: Path) -> None:
    """The same holds where each image may have several labels."""
    table = write_patients(tmp_path / "photos", "path,labels,patient_no")
    result = hs.train(table, out=tmp_path / "run", cache=tmp_path / "c", leakage=True, **QUICK)
    found = result.record.leakage
    assert found.ungrouped.accuracy > found.grouped.accuracy
    assert found.ungrouped.log_loss < found.grouped.log_loss


def test_leakage_without_groups_is_an_error(tmp_path: Path) -> None:
    """The message says what is missing."""
    table = write_patients(tmp_path / "photos", "path,label,notes")
    images = hs.open_images(table)
    groups = groups_of(images.train, None)
    assert groups is None
    message = r"^--leakage needs groups of images that belong together, and there are none: "
    with pytest.raises(OptionError, match=message):
        measure_leakage(None, images.train, np.zeros((48, 1), np.float32), groups)


def test_where_groups_are_from(patients: Path) -> None:
    """Given groups come before guessed ones; without groups, only copies are kept together."""
    given = hs.open_images(patients, group="patient_no", test=0).train
    found = groups_of(given, None)
    hashes = sorted(given.sha256s)
    assert (found.source, found.count, sorted(found.ungrouped)) == ("given", 12, hashes)
    guessed = groups_of(hs.open_images(patients, test=0).train, None)
    assert (guessed.source, guessed.count, sorted(guessed.ungrouped)) == ("column", 12, hashes)
    assert len(set(zip(guessed.grouped, found.grouped, strict=True))) == 12


def test_stems_of_file_names_are_guessed(tmp_path: Path) -> None:
    """Five patients with two images each are groups, whatever the folder of their class."""
    for number in range(10):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / f"p{number // 2:03d}_{number}.png")
    train = hs.open_images(tmp_path / "photos", test=0).train
    found = groups_of(train, None)
    assert isinstance(found, TrainingGroups)
    assert (found.source, found.count) == ("names", 5)
    assert "such as 'p000'; if images with the same stem belong together" in found.message
    assert len(set(hs.open_images(tmp_path / "photos", group=PATTERN).all.groups)) == 5
    assert PATTERN in found.message


PATTERN = r"([^/]*\d)[^/\d.]+\d+[^/\d.]*(?:\.[^/.]*)?$"


def test_the_sentence() -> None:
    """Both numbers are side by side."""
    before, after = (Estimate(x, (0, 1), y, 48) for x, y in ((0.958, 0.12), (0.708, 0.85)))
    assert Leakage(12, "column", before, after).message == (
        "Accuracy on folds: ungrouped 0.96, grouped 0.71 (log loss 0.120 and 0.850; 12 groups, "
        "guessed by a column of the table)."
    )


@pytest.mark.parametrize(("low", "chance"), [(-0.02, True), (0.02, False)])
def test_a_difference_that_may_be_chance(low: float, chance: bool) -> None:
    """It is said if the interval of the difference contains 0."""
    before, after = (Estimate(x, (0, 1), y, 48) for x, y in ((0.83, 0.4), (0.78, 0.5)))
    message = Leakage(12, "given", before, after, (low, 0.12)).message
    assert message.endswith(" The difference may be due to chance.") == chance
