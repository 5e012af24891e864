"""Results by slices: from a table to the record, the terminal, the report and the JSON."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.tables import show_evaluation, show_training
from headstart.commands.train import TrainResult
from headstart.errors import OptionError
from headstart.record import Record
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher
from tests.conftest import COLOURS, picture


def write_table(folder: Path, *, several: bool) -> Path:
    """Write a table of 32 images; those of site "B" in the test part have the wrong label."""
    folder.mkdir()
    name, rows = "labels" if several else "label", []
    for number in range(32):
        label, test = ("blue", "red")[number % 2], number >= 16
        site = "B" if number % 4 > 1 else "A"
        wrong = test and site == "B"
        picture(number, COLOURS[("red", "blue")[number % 2] if wrong else label]).save(
            folder / f"x{chr(97 + number // 26)}{chr(97 + number % 26)}.png"
        )
        path = f"x{chr(97 + number // 26)}{chr(97 + number % 26)}.png"
        rows.append(f"{path},{label},{'test' if test else 'train'},{site},{number}")
    (folder / "table.csv").write_text("\n".join([f"path,{name},split,site,number", *rows]))
    return folder / "table.csv"


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, RecordingWatcher]:
    """Train on the table with slices by site."""
    root = tmp_path_factory.mktemp("sliced")
    watcher = RecordingWatcher()
    table = write_table(root / "photos", several=False)
    result = hs.train(
        table, out=root / "run", cache=root / "cache", slices="site", watcher=watcher, **QUICK
    )
    return result, watcher


def test_training_measures_slices(sliced: tuple[TrainResult, RecordingWatcher]) -> None:
    """Site "B", where all 8 labels are wrong, is first; the difference is more than chance."""
    result, watcher = sliced
    found = result.record.test.slices
    worst = found.slices[0]
    assert [(one.value, one.images, one.metrics["accuracy"].value) for one in found.slices] == [
        ("B", 8, 0.0),
        ("A", 8, 1.0),
    ]
    assert worst.difference == -1.0
    assert worst.differs
    assert watcher.warnings[-1] == found.warnings[0]
    assert Record.read(result.run).test.slices == found
    assert result.to_json()["test"]["slices"]["values"][0]["value"] == "B"


def test_slices_are_shown(sliced: tuple[TrainResult, RecordingWatcher]) -> None:
    """The terminal has a table, and the report a section with the warning."""
    result, _ = sliced
    shown = io.StringIO()
    show_training(Console(file=shown, width=120), result)
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert "Slices, lowest accuracy first:" in shown.getvalue()
    assert ["site", "B", "8", "0.000", "0.000", "to", "0.324"] in [line[:7] for line in lines]
    page = (result.run / "report.html").read_text()
    assert '<h2 id="slices">Slices</h2>' in page
    assert "the accuracy is 0.000 (0.000 to 0.324), 1.000 below that of all other images." in page


def test_evaluating_the_run_repeats_its_slices(
    sliced: tuple[TrainResult, RecordingWatcher], tmp_path: Path
) -> None:
    """They are in its manifest, as are those of the table in another evaluation."""
    result, _ = sliced
    table = result.run.parent / "photos/table.csv"
    own = hs.evaluate(result.run, slices="site", out=tmp_path / "out")
    other = hs.evaluate(result.run, table, slices="site")
    for found in (own, other, hs.evaluate(result.run)):
        assert [(one.value, one.images) for one in found.evaluation.slices.slices] == [
            ("B", 8),
            ("A", 8),
        ]
    assert hs.evaluate(result.run, table).evaluation.slices is None
    assert '<h2 id="slices">Slices</h2>' in (tmp_path / "out/report.html").read_text()
    figures = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert figures["slices"]["values"][0]["accuracy"] == 0.0
    shown = io.StringIO()
    show_evaluation(Console(file=shown, width=120), own)
    assert "Slices, lowest accuracy first:" in shown.getvalue()


def test_a_column_that_the_run_does_not_keep(
    sliced: tuple[TrainResult, RecordingWatcher],
) -> None:
    """The error lists those that it keeps, and says to pass the table."""
    run = sliced[0].run
    message = rf"^--slices 'sex' is not a column that the run '{run}' keeps\. It keeps: site\. Pass"
    with pytest.raises(OptionError, match=message):
        hs.evaluate(run, slices="sex")


def test_slices_of_several_labels(tmp_path: Path) -> None:
    """The macro AUROC is compared: 0 at site "B", where both labels are wrong."""
    table = write_table(tmp_path / "photos", several=True)
    result = hs.train(table, out=tmp_path / "run", cache=tmp_path / "c", slices="site", **QUICK)
    found = result.record.test.slices
    assert found.tested == "macro_auroc"
    assert [(one.value, one.metrics["macro_auroc"].value) for one in found.slices] == [
        ("B", 0.0),
        ("A", 1.0),
    ]
    assert '<h2 id="slices">Slices</h2>' in (result.run / "report.html").read_text()


def test_a_run_without_columns_says_so(trained: TrainResult) -> None:
    """A run that was trained without slices keeps no column, and its data is a folder."""
    with pytest.raises(OptionError, match=r"keeps\. It keeps none\. Pass the table: headstart "):
        hs.evaluate(trained.run, slices="sex")
    with pytest.raises(OptionError, match=r"^--slices 'sex' names columns of a table, and "):
        hs.evaluate(trained.run, trained.run.parent / "photos", slices="sex")
