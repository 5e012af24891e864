"""Results as text: names are shown as they are, whatever is in them."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from headstart.backbones.catalogue import CATALOGUE
from headstart.classifier import Prediction
from headstart.cli.tables import megabytes, show_backbones, show_predictions
from headstart.commands.backbones import Listed
from headstart.commands.predict import Unread
from tests.cli.conftest import Done
from tests.conftest import picture

MARKUP = "[red]x[/]"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A table whose class and file names look like markup."""
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
def odd_run(train: Callable[..., Done], odd: Path, tmp_path: Path) -> Path:
    """A run that was trained on them."""
    assert train(odd / "odd.csv", "--out", tmp_path / "[run]").code == 0
    return tmp_path / "[run]"


def shown(told: list[Prediction | Unread], width: int = 100) -> list[str]:
    """Give the lines that a person sees, without padding."""
    out = io.StringIO()
    show_predictions(Console(file=out, width=width), told)
    return [line.strip() for line in out.getvalue().splitlines()]


def test_a_training_shows_markup_literally(
    train: Callable[..., Done], odd: Path, tmp_path: Path
) -> None:
    """Class, file and run names like "[red]x[/]" are shown as they are after a training."""
    lines = [
        line.strip()
        for line in train(odd / "odd.csv", "--out", tmp_path / "[run]").out.splitlines()
    ]
    assert any(line.startswith(f"{MARKUP}  ") for line in lines)
    assert "[bold]bad.png   it is not an image of a known format" in lines
    assert f"report   {tmp_path / '[run]'}/report.html" in lines


def test_predict_and_evaluate_show_markup_literally(
    headstart: Callable[..., Done], odd: Path, odd_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class and file names like "[red]x[/]" are shown as they are, in tables and in JSON."""
    monkeypatch.chdir(odd)
    assert f"[b]0-0.png   {MARKUP}" in headstart("predict", odd_run, "[b]0-0.png").out
    (told,) = json.loads(headstart("predict", odd_run, "[b]0-0.png", "--json").out)
    assert (told["image"], told["label"]) == ("[b]0-0.png", MARKUP)
    assert f" {MARKUP} " in headstart("evaluate", odd_run, "odd.csv").out


def test_a_prediction_shows_markup_literally() -> None:
    """Image, label, runner-up and reason are text, never markup."""
    one = Prediction("[b]a.png", MARKUP, 0.75, ((MARKUP, 0.75), ("[i]y", 0.25)))
    lines = shown([one, Unread("[b]c.png", "it is damaged ([u]z)")])
    assert f"[b]a.png   {MARKUP}" in next(line for line in lines if "a.png" in line)
    assert any(line.endswith("75.0%   [i]y 25%") for line in lines)
    assert "[b]c.png   cannot be read: it is damaged ([u]z)" in lines


def test_a_newline_in_a_name_breaks_no_table() -> None:
    """A file name with a newline stays in its column, and the next row is untouched."""
    one = Prediction("a\nb.png", "blue", 1.0, (("blue", 1.0),))
    two = Prediction("c.png", "red", 1.0, (("red", 1.0),))
    rows = [line.split() for line in shown([one, two])]
    assert ["b.png"] in rows or ["a\\nb.png", "blue", "100.0%"] in rows
    assert ["c.png", "red", "100.0%"] in rows


def test_json_keeps_a_newline_in_a_name(
    headstart: Callable[..., Done], odd_run: Path, tmp_path: Path
) -> None:
    """With --json, a name with a newline comes back as it was given."""
    image = tmp_path / "two\nlines.png"
    picture(1).save(image)
    (told,) = json.loads(headstart("predict", odd_run, image, "--json").out)
    assert told["image"] == str(image)


def test_a_name_that_is_no_utf8_is_shown_with_escapes(
    headstart: Callable[..., Done], odd_run: Path, tmp_path: Path
) -> None:
    """A file name of undecodable bytes is predicted, and printed as valid UTF-8."""
    good = tmp_path / "good.png"
    picture(1).save(good)
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png")
    shutil.copy(good, bad)
    (told,) = json.loads(headstart("predict", odd_run, bad, "--json").out)
    assert told["image"] == f"{tmp_path}/bad\\xff.png"


def test_an_error_shows_markup_literally(headstart: Callable[..., Done]) -> None:
    """Names in an error are no markup."""
    done = headstart("train", MARKUP)
    assert (done.code, done.error) == (1, f"Error: Data '{MARKUP}' does not exist.")


def test_long_names_are_not_cut() -> None:
    """On a narrow terminal a long name is folded, never shortened."""
    name = "/".join(["a-long-folder-name"] * 8) + "/image.png"
    lines = shown([Prediction(name, "blue", 1.0, (("blue", 1.0),))], width=60)
    assert name in "".join(line.split("   ")[0] for line in lines)


@pytest.mark.parametrize(
    ("licence", "cell"),
    [
        ("mit", "mit"),
        ("unknown", "unknown"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0 (not for commercial use)"),
        ("gemma", "gemma (may restrict commercial use)"),
    ],
)
def test_a_licence_is_marked_unless_it_is_permissive(licence: str, cell: str) -> None:
    """The table of backbones says which weights are not for every use."""
    out = io.StringIO()
    show_backbones(
        Console(file=out, width=200), [Listed(CATALOGUE[0], licence, False)], measured=False
    )
    row = next(line.strip() for line in out.getvalue().splitlines() if "vgg16" in line)
    assert f"   {cell}   " in row


def test_megabytes() -> None:
    """Sizes are in millions of bytes, with one decimal."""
    assert megabytes(1_234_567_890) == "1,234.6 MB"
