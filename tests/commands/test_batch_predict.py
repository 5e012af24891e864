"""Predictions of many files to an output: interrupted, continued, and read from tables."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.cli import main
from headstart.commands.train import TrainResult
from headstart.errors import DataError, OptionError, OutputError
from headstart.files import locked
from headstart.predictor.predictor import FailedPrediction
from headstart.runs import unfinished_predictions
from headstart.runs.unfinished_predictions import UnfinishedPredictions, unfinished_folder
from headstart.watching import Progress, SilentWatcher
from tests.conftest import COLOURS, picture
from tests.processes import start

SIZE = 5
Predict = Callable[..., list]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the results of few images together."""
    monkeypatch.setattr(unfinished_predictions, "IMAGES_PER_PART", SIZE)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write 23 images, one of which is damaged."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(23):
        image = picture(number, COLOURS["blue" if number % 3 else "red"])
        image.save(folder / f"{number:02d}.png")
    (folder / "07.png").write_bytes(b"damaged")
    return folder


@pytest.fixture
def predict(trained: TrainResult) -> Predict:
    """Return `hs.predict` with the trained model and its cache."""

    def run(images: object, out: Path, **options: object) -> list:
        return hs.predict(
            trained.run, images, out=out, cache=trained.run.parent / "cache", **options
        )

    return run


class Interrupting(SilentWatcher):
    """Presses Ctrl-C after so many images, and keeps notes."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """See `Watcher.stage`."""

        def progress(done: int, total: int) -> None:
            if done == self.after:
                raise KeyboardInterrupt

        yield progress

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self.notes.append(text)


def interrupt(predict: Predict, images: object, out: Path, after: int = 12, **options: object):
    """Predict until Ctrl-C is pressed; return the watcher."""
    watcher = Interrupting(after)
    with pytest.raises(KeyboardInterrupt):
        predict(images, out, watcher=watcher, **options)
    return watcher


def rows(out: Path) -> list[dict]:
    """Return the rows of an output, Parquet or JSON."""
    if out.suffix == ".json":
        return json.loads(out.read_text(encoding="utf-8"))
    return pq.read_table(out).to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_after_an_interruption_the_same_call_continues(
    predict: Predict, photos: Path, tmp_path: Path, suffix: str
) -> None:
    """The file is that of an undisturbed call to the bit, and what was done is not repeated."""
    calm, out = tmp_path / f"calm{suffix}", tmp_path / f"p{suffix}"
    expected = predict(photos, calm)
    watcher = interrupt(predict, photos, out)
    (note,) = watcher.notes
    assert note == (
        f"The predictions of 10 of 23 images are kept in '{out}.partial'. "
        "The same command continues there."
    )
    assert not out.exists()
    seen = []
    results = predict(photos, out, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 13) for number in range(1, 14)]
    assert results == expected
    assert [type(one) for one in results].count(FailedPrediction) == 1
    assert out.read_bytes() == calm.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([calm.name, "new", out.name])


def test_results_are_those_without_an_output(
    predict: Predict, trained: TrainResult, photos: Path, tmp_path: Path
) -> None:
    """All that a result says is kept in the parts, and each image is a row."""
    kept = predict(photos, tmp_path / "p.parquet", top=1)
    plain = hs.predict(trained.run, photos, top=1, cache=trained.run.parent / "cache")
    assert [one.image for one in kept] == [one.image for one in plain]
    assert [row["image"] for row in rows(tmp_path / "p.parquet")] == [one.image for one in plain]
    read = [pair for pair in zip(kept, plain, strict=True) if pair[0] != pair[1]]
    for one, other in read:  # Batches have other sizes.
        assert (one.label, one.unknown) == (other.label, other.unknown)
        assert one.probabilities.dtype == other.probabilities.dtype
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_an_interruption_before_the_first_results_leaves_nothing(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """There is nothing to continue."""
    assert interrupt(predict, photos, tmp_path / "p.csv", after=2).notes == []
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_other_options_images_or_models_do_not_continue(
    predict: Predict, trained: TrainResult, photos: Path, tmp_path: Path
) -> None:
    """The error names what differs; with overwrite, the earlier results are discarded."""
    out = tmp_path / "p.parquet"
    interrupt(predict, photos, out)
    advice = (
        ". To continue them, use the same model, options and images. To discard them, pass "
        "--overwrite (overwrite=True). To keep them, choose another --out."
    )
    begin = f"'{out}.partial' has unfinished predictions "
    with pytest.raises(OutputError) as error:
        predict([photos, photos / "00.png"], out, top=3)
    assert str(error.value) == f"{begin}with --top 5, now 3; of 23 images, now 24{advice}"
    changed = photos / "21.png"
    content, stat = changed.read_bytes(), changed.stat()
    picture(99).save(changed)
    with pytest.raises(OutputError) as error:
        predict(photos, out)
    assert (
        str(error.value) == f"{begin}of other images, or of images that have changed since{advice}"
    )
    changed.write_bytes(content)
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    replace(hs.load(trained.run), temperature=2.0).save(tmp_path / "other")
    with pytest.raises(OutputError) as error:
        hs.predict(tmp_path / "other", photos, out=out)
    assert str(error.value) == f"{begin}of another model{advice}"
    predict(photos, out, overwrite=True, top=2)
    assert len(rows(out)) == 23
    assert not unfinished_folder(out).exists()


def test_overwrite_does_not_discard_what_can_be_continued(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """A command with --overwrite that was interrupted continues when it is repeated."""
    out = tmp_path / "p.parquet"
    out.write_bytes(b"earlier")
    with pytest.raises(OutputError, match=r"already exists"):
        predict(photos, out)
    interrupt(predict, photos, out, overwrite=True)
    assert out.read_bytes() == b"earlier"
    seen = []
    predict(photos, out, overwrite=True, progress=lambda done, total: seen.append(total))
    assert seen == [13] * 13
    assert len(rows(out)) == 23


@pytest.mark.parametrize("place", ["stored_results.write_results", "predictions._write_parquet"])
def test_a_full_disk_loses_nothing(
    predict: Predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The error says what is kept; the next call continues, whichever file could not be written."""
    out = tmp_path / "p.parquet"
    interrupt(predict, photos, out)

    def fail(*_: object) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OutputError) as error:
        patched.setattr(f"headstart.runs.{place}", fail)
        predict(photos, out)
    file, kept = (f"{out}.partial/part-000002.parquet", 10) if "stored" in place else (f"{out}", 23)
    assert str(error.value) == (
        f"Output '{file}' cannot be written: No space left on device. The predictions of {kept} "
        f"of 23 images are kept in '{out}.partial'. Make room, and run the same command again to "
        "continue."
    )
    assert not out.exists()
    predict(photos, out)
    assert len(rows(out)) == 23


def test_a_kill_after_the_output_was_written(
    predict: Predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output is not in the way of the call that continues, which only tidies up."""
    out = tmp_path / "p.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(UnfinishedPredictions, "remove", lambda self: None)
        expected = predict(photos, out)
    assert unfinished_folder(out).exists()
    assert predict(photos, out, progress=lambda done, total: pytest.fail()) == expected
    assert not unfinished_folder(out).exists()
    with pytest.raises(OutputError, match=r"already exists"):
        predict(photos, out)


def test_damaged_results_are_computed_again(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """After a power failure, a file may be empty."""
    out = tmp_path / "p.parquet"
    interrupt(predict, photos, out)
    part = unfinished_folder(out) / "part-000000.parquet"
    part.write_bytes(b"")
    (unfinished_folder(out) / ".half-written").touch()
    seen = []
    predict(photos, out, progress=lambda done, total: seen.append(total))
    assert seen == [18] * 18
    assert [row["image"] for row in rows(out)] == [str(path) for path in sorted(photos.iterdir())]
    interrupt(predict, photos, tmp_path / "q.csv")
    (tmp_path / "q.csv.partial/request.json").write_text("")
    with pytest.raises(OutputError, match=r"whose 'request\.json' is missing or damaged"):
        predict(photos, tmp_path / "q.csv")


def test_a_folder_with_other_files_is_left_alone(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """Somebody may have a folder of this name."""
    (tmp_path / "p.csv.partial").mkdir()
    (tmp_path / "p.csv.partial/thesis.txt").touch()
    with pytest.raises(OutputError) as error:
        predict(photos, tmp_path / "p.csv", overwrite=True)
    assert str(error.value) == (
        f"The folder '{tmp_path}/p.csv.partial' is for unfinished predictions, but has another "
        "file, 'thesis.txt'. Move the folder, or choose another --out."
    )
    assert [path.name for path in (tmp_path / "p.csv.partial").iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_write_the_same_output(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """The second one is refused."""
    out = tmp_path / "p.csv"
    with locked(unfinished_folder(out) / ".lock"), pytest.raises(OutputError) as error:
        predict(photos, out)
    assert str(error.value) == (
        f"Output '{out}' is being written by another process. Wait until it has finished, or "
        "choose another --out."
    )


def test_a_folder_is_not_an_output(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """Nor is a folder that cannot be written."""
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(OutputError) as error:
        predict(photos, tmp_path / "p.csv")
    assert str(error.value) == f"Output '{tmp_path}/p.csv' is a folder. Pass the name of a file."
    (tmp_path / "q.csv.partial").touch()
    with pytest.raises(OutputError) as error:
        predict(photos, tmp_path / "q.csv")
    assert str(error.value) == f"Output '{tmp_path}/q.csv.partial' cannot be written: File exists."


def test_heat_maps_are_continued(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """Images of the same name have maps of their own, and maps are not taken for images."""
    (photos / "sub").mkdir()
    for number in (1, 2, 20):
        picture(number).save(photos / "sub" / f"{number:02d}.png")
    calm, out, maps = tmp_path / "calm.csv", tmp_path / "p.csv", photos / "maps"
    predict(photos, calm, explain=maps)
    files = {path.name: path.read_bytes() for path in maps.iterdir()}
    assert len(files) == 25
    for after in (2, 12):
        for path in (*maps.iterdir(), *tmp_path.glob("p.csv")):
            path.unlink()
        interrupt(predict, photos, out, after=after, explain=maps)
        results = predict(photos, out, explain=maps, overwrite=after == 12)
        assert out.read_bytes() == calm.read_bytes()
        assert {path.name: path.read_bytes() for path in maps.iterdir()} == files
        assert Path(results[-1].heat_map).name == "20-2.jpg"


def test_a_file_with_several_images_has_several_rows(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """Its slices are in one part, and named by their number, also if a table names the file."""
    values = np.random.default_rng(0).integers(0, 1000, (12, 12, 8)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), photos / "03.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("path\nnew/00.png\nnew/03.nii.gz\nnew/01.png\n")
    predict([photos, table], tmp_path / "p.parquet")
    named = [row["image"] for row in rows(tmp_path / "p.parquet")]
    slices = [f"03.nii.gz#{number}" for number in range(1, 9)]
    assert len(named) == 23 + 8 + 2 + 8
    assert named[3:11] == [str(photos / name) for name in slices]
    assert named[31:] == ["new/00.png", *(f"new/{name}" for name in slices), "new/01.png"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_lists_images(predict: Predict, photos: Path, tmp_path: Path, suffix: str) -> None:
    """Each row is a row of the output, repeated and missing ones too, by its name in the table."""
    named = ["new/02.png", "new/none.png", "new/07.png", "new/02.png", "", "new\\03.png"]
    labels = ["x", "y", "", "z", "x", "y"]
    table = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"id": range(6), "image": named, "finding": labels}), table)
    else:
        comma = "," if suffix == ".csv" else "\t"
        lines = [comma.join((name, label)) for name, label in zip(named, labels, strict=True)]
        table.write_text("\n".join([f"Path{comma}finding", *lines]) + "\n")
    predict(table, tmp_path / "out.parquet")
    found = rows(tmp_path / "out.parquet")
    assert [row["image"] for row in found] == [*named[:4], "row 5", named[5]]
    assert [row["error"] for row in found] == [
        None,
        f"the file '{photos}/none.png' does not exist",
        "it is not an image of a known format",
        None,
        "its path is missing",
        None,
    ]
    assert found[0] == found[3]


def test_a_table_with_embedded_images(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """As Hugging Face exports them."""
    cells = [
        {"bytes": (photos / f"{number:02d}.png").read_bytes(), "path": f"{number}.png"}
        for number in range(3)
    ]
    pq.write_table(pa.table({"image": [*cells, None]}), tmp_path / "t.parquet")
    embedded = predict(tmp_path / "t.parquet", tmp_path / "p.json")
    files = predict([photos / f"{number:02d}.png" for number in range(3)], tmp_path / "q.json")
    assert [one.image for one in embedded] == ["0.png", "1.png", "2.png", "row 4"]
    assert [one.probability for one in embedded[:3]] == pytest.approx(
        [one.probability for one in files], abs=1e-6
    )
    assert embedded[3].error == "its path is missing"


def test_a_table_is_read_without_an_output(trained: TrainResult, photos: Path) -> None:
    """It may stand beside files."""
    table = photos.parent / "list.csv"
    table.write_text("path\nnew/02.png\n")
    found = hs.predict(trained.run, [table, photos / "01.png"])
    assert [one.image for one in found] == ["new/02.png", str(photos / "01.png")]


def test_a_table_without_images_is_an_error(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """Nothing is left of the output."""
    table = tmp_path / "list.csv"
    for content, message in (
        (
            "name,label\na,b\n",
            "has no column 'path' or 'image'. It has: name, label. Rename the right one to 'path'.",
        ),
        ("path,label\n", "has no rows below the names of its columns."),
        ("path,path\na,b\n", "has the column 'path' more than once."),
    ):
        table.write_text(content)
        with pytest.raises(DataError) as error:
            predict([photos, table], tmp_path / "p.csv")
        assert str(error.value) == f"Table '{table}' {message}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "new"]


def test_images_that_cannot_be_read_have_the_columns_of_others(
    predict: Predict, photos: Path, tmp_path: Path
) -> None:
    """The columns and their types are the same, whichever image comes first."""
    predict([photos / "07.png", photos / "08.png"], tmp_path / "p.parquet")
    predict([photos / "07.png"] * 2, tmp_path / "q.parquet")
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.remove(schema.get_field_index("unknown")) == pq.read_schema(
        tmp_path / "q.parquet"
    )


def test_relative_paths_mean_the_same_files_when_continued(
    predict: Predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder, the same words are other files."""
    out = tmp_path / "p.csv"
    monkeypatch.chdir(tmp_path)
    interrupt(predict, "new", out)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/new").symlink_to(photos)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=r"of other images"):
        predict("new", out)
    monkeypatch.chdir(tmp_path)
    assert predict("new", out)[0].image == "new/00.png"


def predict_in_parts(*arguments: str) -> None:
    """Run `predict`, with few images in a part. A function of the module, for another process."""
    unfinished_predictions.IMAGES_PER_PART = SIZE * 4
    main(["predict", *arguments])


def start_predicting(trained: TrainResult, photos: Path, out: Path) -> BaseProcess:
    """Start `predict` in another process."""
    cache = trained.run.parent / "cache"
    arguments = map(str, (trained.run, photos, "--out", out, "--cache", cache))
    return start(predict_in_parts, *arguments, log=out.with_suffix(".log"))


def test_killed_processes_are_continued(trained: TrainResult, tmp_path: Path) -> None:
    """Each image is once in the output, with the values of an undisturbed process, to the bit."""
    photos = tmp_path / "new"
    photos.mkdir()
    for number in range(200):
        picture(number, COLOURS["blue" if number % 3 else "red"]).save(photos / f"{number}.png")
    (photos / "7.png").write_bytes(b"damaged")
    calm, out = tmp_path / "calm.parquet", tmp_path / "p.parquet"
    undisturbed = start_predicting(trained, photos, calm)
    kept = []
    for _ in range(2):
        process = start_predicting(trained, photos, out)
        before = len(kept)
        while process.is_alive() and len(kept) <= before:
            time.sleep(0.001)
            kept = list(unfinished_folder(out).glob("part-*.parquet"))
        process.kill()
        process.join()
        assert process.exitcode == -9
    assert not out.exists()
    finished = start_predicting(trained, photos, out)
    for process in (finished, undisturbed):
        process.join()
        assert process.exitcode == 0
    assert out.read_bytes() == calm.read_bytes()
    assert len({row["image"] for row in rows(out)}) == len(rows(out)) == 200
    assert not unfinished_folder(out).exists()


def test_a_table_that_does_not_exist_is_an_error_before_anything_is_written(
    trained: TrainResult, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(DataError, match=r"Table '.*nofile\.csv' does not exist"):
        hs.predict(trained.run, tmp_path / "nofile.csv", out=out, progress=False)
    assert not out.exists()
    assert not list(tmp_path.iterdir())


def test_results_of_coco_are_for_boxes(predict: Predict, photos: Path, tmp_path: Path) -> None:
    """A model of labels has none, whether or not the images have ids."""
    file = tmp_path / "coco.json"
    file.write_text('{"images": [{"id": 1, "file_name": "new/00.png"}], "categories": []}')
    for images in (file, photos):
        with pytest.raises(OptionError, match=r"^--format coco is for boxes, which this model"):
            predict(images, tmp_path / "out.json", format="coco")
