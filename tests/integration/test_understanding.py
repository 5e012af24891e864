"""How data was understood is said everywhere: terminal, Python warning, record and report."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from tests.cli.conftest import QUICK, Completed
from tests.commands.test_train import RecordingWatcher
from tests.integration.test_sources import split_folder

Cli = Callable[..., Completed]
MakeFolder = Callable[..., Path]

LEFT_OUT = (
    "Left out: 'to predict' (3 images), which is neither a class nor a labelled part of the split."
)
UNDERSTOOD = "Split: folders 'test_set' (test), 'training' (train). Labels: the folders in them."


@pytest.fixture
def data(make_folder: MakeFolder, tmp_path: Path) -> Path:
    """Return a folder with split folders of unusual names, and unlabelled images beside them."""
    folder = split_folder(make_folder())
    (folder / "train").rename(folder / "training")
    (folder / "test").rename(folder / "test_set")
    (folder / "to predict").mkdir()
    for number, image in enumerate(sorted(folder.rglob("*.png"))[:3]):
        shutil.copy(image, folder / "to predict" / f"{number}.png")
    return folder


def test_the_command_line_says_it(data: Path, train: Cli, tmp_path: Path) -> None:
    """On stderr, and the run keeps it."""
    done = train(data, "--out", tmp_path / "run")
    text = " ".join(done.err.split())  # Lines are wrapped.
    assert (
        f"24 images of 2 classes (18 training, 6 test). Classes: 'blue', 'red'. {UNDERSTOOD}"
        in text
    )
    assert f"! {LEFT_OUT}" in text
    record = json.loads((tmp_path / "run/metrics.json").read_text())
    assert record["data"]["understood"] == [UNDERSTOOD]
    assert record["warnings"] == [LEFT_OUT]
    report = (tmp_path / "run/report.html").read_text()
    assert "&#39;training&#39; (train)" in report
    assert "&#39;to predict&#39; (3 images)" in report


def test_evaluate_says_it(data: Path, train: Cli, headstart: Cli, tmp_path: Path) -> None:
    """A model's own classes are never left out."""
    train(data, "--out", tmp_path / "run")
    done = headstart("evaluate", tmp_path / "run", data, "--cache", tmp_path / "cache")
    assert f"! {LEFT_OUT}" in " ".join(done.err.split())
    assert done.code == 0


@pytest.mark.parametrize("function", ["open_images", "train"])
def test_the_library_warns(data: Path, tmp_path: Path, function: str) -> None:
    """As a Python warning that points to the line that called it."""
    options = {"cache": tmp_path / "cache"}
    if function == "train":
        names = [name.removeprefix("--").replace("-", "_") for name in QUICK[::2]]
        values = [int(value) if value.isdigit() else value for value in QUICK[1::2]]
        options |= {"out": tmp_path / "run", **dict(zip(names, values, strict=True))}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(hs, function)(data, **options)
    found = [each for each in caught if each.category is hs.HeadstartWarning]
    assert str(found[0].message) == LEFT_OUT
    assert found[0].filename == __file__


def test_a_watcher_replaces_warnings(data: Path, tmp_path: Path) -> None:
    """Who passes one decides what is shown."""
    watcher = RecordingWatcher()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hs.open_images(data, cache=tmp_path / "cache", watcher=watcher)
    assert watcher.warnings == [LEFT_OUT]


def test_images_that_are_not_used_are_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    """As a Python warning, before the training begins and not only in its record."""
    folder = make_folder()
    (folder / "red/empty.png").touch()
    with pytest.warns(hs.HeadstartWarning) as caught:
        images = hs.open_images(folder, cache=tmp_path / "cache")
    warning = "Images not used: 1. 'red/empty.png': the file is empty."
    assert [str(item.message) for item in caught] == [warning]
    assert images.warnings == (warning,)
