"""The CSV file that the page saves."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from headstart.options import AnswerOptions
from headstart.runs.predictions import write_predictions
from tests.conftest import COLOURS, picture
from tests.server.conftest import Trained
from tests.server.page.visit import Visit

HOSTILE = '<img src=x onerror="document.title=1">.png'


def test_the_csv_file_is_that_of_predict(
    page: Visit, trained: Trained, photos: Path, tmp_path: Path
) -> None:
    """Columns, labels, probabilities, sets and errors are those of `headstart predict --out`."""
    paths = [photos / f"{name}.png" for name in ("red", "notes", "stranger", "blue", "green")]
    page.classify(*paths)
    page.select("#coverage", "0.9")
    page.settle()
    written = page.save(tmp_path / "downloads")
    assert written.startswith("\ufeff") and written.endswith("\r\n")
    mine = list(csv.DictReader(io.StringIO(written.removeprefix("\ufeff"))))
    predictor = trained.predictor
    predictions = list(predictor.predict_each(paths, AnswerOptions(top=2, coverage=0.9)))
    write_predictions(tmp_path / "theirs.csv", predictions, predictor.classes)
    with (tmp_path / "theirs.csv").open(newline="") as file:
        theirs = list(csv.DictReader(file))
    assert list(mine[0]) == list(theirs[0])
    for one, other in zip(mine, theirs, strict=True):
        assert one["image"] == Path(other["image"]).name
        for name in ("label", "set", "unknown", "error"):
            assert one[name] == other[name]
        for name in ("probability", "p_blue", "p_red"):
            assert (one[name] == "") == (other[name] == "")
            assert float(one[name] or 0) == pytest.approx(float(other[name] or 0), abs=0.01)


def test_the_csv_file_is_safe_in_a_spreadsheet(page: Visit, photos: Path, tmp_path: Path) -> None:
    """Names that look like formulas or contain quotes stay text."""
    names = ["=1+1.png", "+1.png", "-1.png", "@sum.png", 'a "b", c.png', HOSTILE]
    for name in names:
        picture(5, COLOURS["blue"]).save(tmp_path / name)
    page.classify(*(tmp_path / name for name in names))
    assert page.texts(".entry .file") == names
    assert page.evaluate("document.images.length") == 4
    rows = csv.DictReader(io.StringIO(page.save(tmp_path / "downloads")[1:]))
    images = [row["image"] for row in rows]
    assert images == [f"'{name}" for name in names[:4]] + names[4:]
