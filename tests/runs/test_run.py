"""The folder of a run: its name, and that it is written completely or not at all."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.data.contract import CURRENT
from headstart.errors import OutputError
from headstart.report.thumbnails import thumbnail
from headstart.runs.folders import choose_folder
from headstart.runs.run import write_run
from headstart.tasks.single import Single
from tests.commands.conftest import QUICK

MakeFolder = Callable[..., Path]


@pytest.fixture
def write(trained: TrainResult) -> Callable[[Path], None]:
    """Return a function that writes the trained model to a folder."""
    manifest = pq.read_table(trained.run / "manifest.parquet")
    bundle, record = trained.model.predictor.to_bundle(), trained.record
    part = Single().report_part(record.test)
    return lambda run: write_run(run, bundle, manifest, record, part, [])


def test_the_default_folder_is_named_after_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an output, a run goes to runs/NAME."""
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None, "photos", overwrite=False) == Path("runs/photos")


def test_the_default_folder_is_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later runs on the same data are NAME-2, NAME-3 and so on; nothing is replaced."""
    monkeypatch.chdir(tmp_path)
    for expected in ("runs/photos", "runs/photos-2", "runs/photos-3"):
        chosen = choose_folder(None, "photos", overwrite=True)
        assert chosen == Path(expected)
        assert chosen.is_dir()  # Reserved, so that another run cannot use it.


@pytest.mark.parametrize(
    ("name", "folder"),
    [("my photos!", "my-photos"), ("../..", "run"), ("日本", "日本"), ("", "run")],
)
def test_the_default_folder_is_a_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    """Special characters are replaced; letters of any script are kept."""
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None, name, overwrite=False) == Path("runs", folder)


@pytest.mark.parametrize(
    ("data", "folder"),
    [("photos", "photos"), ("photos/", "photos"), ("photos/../photos", "photos")],
)
def test_train_names_the_run(
    make_folder: MakeFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    folder: str,
) -> None:
    """Two trainings without an output give runs/photos and runs/photos-2."""
    make_folder()
    monkeypatch.chdir(tmp_path)
    first, second = (hs.train(data, cache=tmp_path / "cache", **QUICK) for _ in range(2))
    assert (first.run, second.run) == (Path("runs", folder), Path("runs", f"{folder}-2"))


def test_train_names_the_run_of_the_current_folder(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of `train .` is named after the current folder."""
    monkeypatch.chdir(make_folder())
    result = hs.train(".", cache=tmp_path / "cache", **QUICK)
    assert result.run == Path("runs/photos")


def test_a_folder_with_a_dot_keeps_its_name(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dot in a folder's name is not a suffix: run and data have the full name."""
    make_folder(name="photos.v2")
    monkeypatch.chdir(tmp_path)
    result = hs.train("photos.v2", cache=tmp_path / "cache", **QUICK)
    assert result.record.data.name == "photos.v2"
    assert result.run == Path("runs/photos.v2")


def test_an_empty_folder_may_be_the_output(tmp_path: Path) -> None:
    """An existing empty folder is used."""
    (tmp_path / "run").mkdir()
    assert choose_folder(tmp_path / "run", "x", overwrite=False) == tmp_path / "run"


def test_an_existing_output_is_an_error(tmp_path: Path) -> None:
    """Nothing is replaced without `overwrite`."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.json").write_text("{}")
    with pytest.raises(OutputError) as error:
        choose_folder(tmp_path / "run", "x", overwrite=False)
    assert str(error.value) == (
        f"Output '{tmp_path / 'run'}' already exists. "
        "Pass --overwrite (overwrite=True) to replace it."
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_overwrite_replaces_runs_only(tmp_path: Path, kind: str) -> None:
    """Files and folders that are not runs are never replaced."""
    out = tmp_path / "thesis"
    if kind == "folder":
        out.mkdir()
    (out / "text" if kind == "folder" else out).write_text("mine")
    with pytest.raises(OutputError) as error:
        choose_folder(out, "x", overwrite=True)
    assert str(error.value) == (
        f"Output '{out}' exists but is not a headstart run, so it was not replaced. "
        "Choose another folder."
    )


def test_overwrite_replaces_a_run(write: Callable[[Path], None], tmp_path: Path) -> None:
    """Nothing of the earlier run is left."""
    write(tmp_path / "run")
    (tmp_path / "run/old.txt").write_text("old")
    out = choose_folder(tmp_path / "run", "x", overwrite=True)
    write(out)
    assert not (out / "old.txt").exists()
    assert (out / "metrics.json").is_file()


def test_the_report_is_named_after_the_folder(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    """The title is the name of the run; that of the data is below it if it differs."""
    for name in ("first <b>", "photos"):
        write(tmp_path / name)
    first, same = (
        (tmp_path / name / "report.html").read_text() for name in ("first <b>", "photos")
    )
    assert "<title>first &lt;b&gt; " in first
    assert "<h1><bdi>first &lt;b&gt;</bdi></h1>" in first
    assert "images: <bdi>photos</bdi>" in first
    assert "<h1><bdi>photos</bdi></h1>" in same and "images: <bdi>" not in same


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_fails_leaves_nothing(
    write: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: BaseException,
) -> None:
    """A full disk or Ctrl-C while writing leaves no partial run, not even a hidden one."""

    def fail(*_: Any, **__: Any) -> str:
        raise trouble

    monkeypatch.setattr("headstart.runs.run.render_report", fail)
    expected = KeyboardInterrupt if isinstance(trouble, KeyboardInterrupt) else OutputError
    with pytest.raises(expected) as error:
        write(tmp_path / "runs/one")
    assert list((tmp_path / "runs").iterdir()) == []
    if expected is OutputError:
        text = f"Output '{tmp_path / 'runs/one'}' cannot be written: No space left on device."
        assert str(error.value) == text


@pytest.mark.parametrize("method", ["save", "write_table"])
def test_a_full_disk_names_the_output(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whichever file does not fit, the error names the folder of the run."""

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    target = (
        "headstart.predictor.bundle.save" if method == "save" else "pyarrow.parquet.write_table"
    )
    monkeypatch.setattr(target, fail)
    with pytest.raises(OutputError) as error:
        write(tmp_path / "run")
    assert str(error.value) == (
        f"Output '{tmp_path / 'run'}' cannot be written: No space left on device."
    )


def test_an_earlier_run_survives_a_failure(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the new run cannot be moved into place, the earlier run is kept."""
    run = tmp_path / "run"
    write(run)
    (run / "old.txt").write_text("old")
    rename, failed = Path.rename, []

    def fail_once(self: Path, target: Path) -> Path:
        if Path(target) == run and not failed:
            failed.append(self)
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(OutputError):
        write(run)
    assert (run / "old.txt").read_text() == "old"


def test_the_worst_mistakes_come_first(trained: TrainResult) -> None:
    """Mistakes are sorted by confidence, with a JPEG each; correct predictions are not listed."""
    images = hs.open_images(trained.run.parent / "photos").test
    truth = np.eye(2)[images.labels]
    probabilities = truth * 0.9 + 0.05
    probabilities[3] = (1 - truth[3]) * 0.2 + 0.4
    probabilities[7] = (1 - truth[7]) * 0.8 + 0.1
    mistakes = Single().worst_mistakes(probabilities, images.labels, images.classes, limit=24)
    assert [mistake.probability for mistake in mistakes] == pytest.approx([0.9, 0.6])
    assert (mistakes[0].label, mistakes[0].predicted) == ("red", "blue")
    assert [mistake.row for mistake in mistakes] == [7, 3]
    picture = Image.open(io.BytesIO(thumbnail(images.paths[7], CURRENT)))
    assert (picture.format, picture.size) == ("JPEG", (64, 64))


def test_a_report_shows_at_most_24_mistakes(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The number of mistakes is limited."""
    images = hs.open_images(make_folder(count=20), test=0.0, cache=tmp_path).all
    wrong = 1 - np.eye(2)[images.labels]
    assert len(Single().worst_mistakes(wrong, images.labels, images.classes, limit=24)) == 24
