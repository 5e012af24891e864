"""Results as text: names are shown literally, whatever they contain."""

import io
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from headstart.answers import Prediction
from headstart.backbones.catalogue import CATALOGUE
from headstart.cli.tables import (
    megabytes,
    show_backbones,
    show_candidates,
    show_predictions,
    show_tuning,
)
from headstart.commands.backbones import ListedBackbone
from headstart.commands.predict import FailedPrediction
from headstart.record import Candidate, Estimate, Tuning
from tests.cli.conftest import Completed
from tests.conftest import picture
from tests.report.test_page import metrics, record

MARKUP = "[red]x[/]"
SHARES = np.array([0.75, 0.25])


@pytest.fixture
def markup_data(tmp_path: Path) -> Path:
    """Write a table whose class and file names look like markup."""
    folder = tmp_path / "[i]odd"
    folder.mkdir()
    rows = ["path,label"]
    for number, label in enumerate((MARKUP, "[link=x]")):
        for index in range(12):
            colour = (200 - 160 * number, 50, 40 + 160 * number)
            picture(number * 100 + index, colour).save(folder / f"[b]{number}-{index}.png")
            rows.append(f"[b]{number}-{index}.png,{label}")
    (folder / "[bold]bad.png").write_bytes(b"no image")
    rows.append(f"[bold]bad.png,{MARKUP}")
    (folder / "odd.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def markup_run(train: Callable[..., Completed], markup_data: Path, tmp_path: Path) -> Path:
    """Train on the names that look like markup."""
    assert train(markup_data / "odd.csv", "--out", tmp_path / "[run]").code == 0
    return tmp_path / "[run]"


def shown(predictions: list[Prediction | FailedPrediction], width: int = 100) -> list[str]:
    """Return the printed lines, without padding."""
    out = io.StringIO()
    show_predictions(Console(file=out, width=width), predictions)
    return [line.strip() for line in out.getvalue().splitlines()]


def test_a_training_shows_markup_literally(
    train: Callable[..., Completed], markup_data: Path, tmp_path: Path
) -> None:
    """Class, file and run names like "[red]x[/]" are shown literally after a training."""
    lines = [
        line.strip()
        for line in train(markup_data / "odd.csv", "--out", tmp_path / "[run]").out.splitlines()
    ]
    assert any(line.startswith(f"{MARKUP}  ") for line in lines)
    assert "[bold]bad.png   it is not an image of a known format" in lines
    assert f"report   {tmp_path / '[run]'}/report.html" in lines


def test_predict_and_evaluate_show_markup_literally(
    headstart: Callable[..., Completed],
    markup_data: Path,
    markup_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Class and file names like "[red]x[/]" are shown literally, in tables and in JSON."""
    monkeypatch.chdir(markup_data)
    assert f"[b]0-0.png   {MARKUP}" in headstart("predict", markup_run, "[b]0-0.png").out
    (printed,) = json.loads(headstart("predict", markup_run, "[b]0-0.png", "--json").out)
    assert (printed["image"], printed["label"]) == ("[b]0-0.png", MARKUP)
    assert f" {MARKUP} " in headstart("evaluate", markup_run, "odd.csv").out


def test_a_prediction_shows_markup_literally() -> None:
    """Image, label, runner-up and reason are printed as text, never as markup."""
    prediction = Prediction("[b]a.png", MARKUP, 0.75, ((MARKUP, 0.75), ("[i]y", 0.25)), SHARES)
    lines = shown([prediction, FailedPrediction("[b]c.png", "it is damaged ([u]z)")])
    assert f"[b]a.png   {MARKUP}" in next(line for line in lines if "a.png" in line)
    assert any(line.endswith("75.0%   [i]y 25%") for line in lines)
    assert lines[lines.index("Images that were not read: 1") :] == [
        "Images that were not read: 1",
        "",
        "image      reason",
        "─" * 31,
        "[b]c.png   it is damaged ([u]z)",
        "",
    ]


def test_a_newline_in_a_name_does_not_break_a_table() -> None:
    """A file name with a newline stays in its column, and the next row is intact."""
    first = Prediction("a\nb.png", "blue", 1.0, (("blue", 1.0),), SHARES)
    second = Prediction("c.png", "red", 1.0, (("red", 1.0),), SHARES)
    rows = [line.split() for line in shown([first, second])]
    assert ["a\\nb.png", "blue", "100.0%"] in rows
    assert ["c.png", "red", "100.0%"] in rows


def test_json_keeps_a_newline_in_a_name(
    headstart: Callable[..., Completed], markup_run: Path, tmp_path: Path
) -> None:
    """With --json, a name with a newline is printed exactly as given."""
    image = tmp_path / "two\nlines.png"
    picture(1).save(image)
    (printed,) = json.loads(headstart("predict", markup_run, image, "--json").out)
    assert printed["image"] == str(image)


def test_a_name_that_is_not_utf8_is_escaped(
    headstart: Callable[..., Completed], markup_run: Path, tmp_path: Path
) -> None:
    """A file with an undecodable name is predicted, and its name is printed as valid UTF-8."""
    good = tmp_path / "good.png"
    picture(1).save(good)
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png")
    shutil.copy(good, bad)
    (printed,) = json.loads(headstart("predict", markup_run, bad, "--json").out)
    assert printed["image"] == f"{tmp_path}/bad\\xff.png"


def test_an_error_shows_markup_literally(headstart: Callable[..., Completed]) -> None:
    """Names in an error are not treated as markup."""
    done = headstart("train", MARKUP)
    assert (done.code, done.error) == (1, f"Error: Data '{MARKUP}' does not exist.")


def test_long_names_are_shortened_to_the_terminal() -> None:
    """On a terminal each image has one line; a long name has an ellipsis in its middle."""
    name, label = "a" * 45 + "b" * 45 + ".png", "c" * 90
    prediction = Prediction(name, label, 1.0, ((label, 1.0), ("blue", 0.0)), SHARES)
    (line,) = [line for line in shown([prediction], width=80) if "100.0%" in line]
    assert len(line) <= 80
    image, shortened, probability, *other = line.split()
    assert (probability, other) == ("100.0%", ["blue", "0%"])
    assert re.fullmatch(r"a+…b+\.png", image) and re.fullmatch(r"c+…c+", shortened)
    (failed,) = [line for line in shown([FailedPrediction(name, "x" * 90)], 80) if "…" in line]
    assert re.fullmatch(r"a+…b+\.png   x+…x+", failed)
    assert name in shown([prediction], width=10_000)[3]


@pytest.mark.parametrize(
    ("licence", "cell"),
    [
        ("mit", "mit"),
        ("unknown", "unknown"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0 (not for commercial use)"),
        ("gemma", "gemma (may restrict commercial use)"),
    ],
)
def test_restrictive_licences_are_marked(licence: str, cell: str) -> None:
    """The table of backbones marks weights that may not be used for every purpose."""
    out = io.StringIO()
    show_backbones(
        Console(file=out, width=200), [ListedBackbone(CATALOGUE[0], licence, False)], measured=False
    )
    row = next(line.strip() for line in out.getvalue().splitlines() if "vgg16" in line)
    assert f"   {cell}   " in row


def test_megabytes() -> None:
    """Sizes are in megabytes, with one decimal."""
    assert megabytes(1_234_567_890) == "1,234.6 MB"


@pytest.mark.parametrize("val", [None, Estimate(0.6, (0.43, 0.75), 1.234, 100)])
def test_the_candidates_of_a_tuned_model_fit_80_columns(val: Estimate | None) -> None:
    """No name is shortened, and only the row of the chosen candidate is marked."""
    chosen, other = (
        Candidate("multilevel", head, 0.75, (0.6, 0.86), 0.527, head == "stack", 1000, val, 0.37)
        for head in ("stack", "kernel")
    )
    out = io.StringIO()
    tuned = replace(record(metrics()), choice=(chosen, other), tuned="stages:1")
    show_candidates(Console(file=out, width=80, force_terminal=True, color_system=None), tuned)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    rows = [line for line in lines if line.startswith(" multilevel ")]
    assert len(rows) == 2 and all(len(row) <= 80 for row in rows)
    assert re.fullmatch(r" multilevel +stack .* ← chosen", rows[0])
    assert re.fullmatch(r" multilevel +kernel .* (37%|1\.234)", rows[1])


@pytest.mark.parametrize(("kept", "word"), [(True, "Kept"), (False, "Not kept")])
def test_a_gain_that_may_be_chance_is_named(kept: bool, word: str) -> None:
    """The number of images is said, in the words of the report."""
    out = io.StringIO()
    tuning = Tuning("all", kept, 200, 0.88, 0.885, (-0.01, 0.02), 0.4, 0.3, 90.0, None, ())
    show_tuning(Console(file=out, width=200), tuning)
    assert out.getvalue() == (
        "Fine-tuned all in 1.5 minutes: 88.5% correct on 200 held-out images, against 88.0% with "
        "the frozen backbone (95% interval of the difference -1.0% to +2.0%). "
        f"{word}: better by 1 image in 200, which may be chance.\n"
    )
