"""The log of predictions, and what `shift` reads of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest

import headstart as hs
from headstart.errors import DataError, OptionError, OutputError
from headstart.runs.answer_log import AnswerLog
from headstart.server.app import create_app
from headstart.server.models import Place
from headstart.serving_options import ServeOptions
from tests.server.conftest import Trained, serving


def test_answers_are_logged_without_pictures_or_names(trained: Trained, tmp_path: Path) -> None:
    files = trained.files(4)
    with serving(trained.run, cache=trained.cache, log=tmp_path / "log") as client:
        client.post_files("/predict", files)
        client.post("/predict?name=Jane.png", b"not an image")
    (file,) = (tmp_path / "log").rglob("*.parquet")
    table = ds.dataset(file).to_table()
    assert table["answer"].to_pylist() == ["blue", "red", "blue", "red"]
    assert "features" not in table.column_names
    assert len(set(table["sha256"].to_pylist())) == 4
    assert b"Jane" not in file.read_bytes()
    assert b"blue-0.png" not in file.read_bytes()
    with pytest.raises(DataError, match="no features of this version"):
        hs.shift(trained.run, tmp_path / "log", cache=trained.cache)


def test_shift_reads_the_features_of_a_log_as_it_reads_the_images(
    trained: Trained, tmp_path: Path
) -> None:
    files = trained.files(40)
    with serving(
        trained.run, cache=trained.cache, log=tmp_path / "log", log_features=True
    ) as client:
        client.post_files("/predict", files)
        client.post_files("/predict", files)  # An image counts once.
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with pytest.warns(match="were used for training"):
        logged = hs.shift(trained.run, tmp_path / "log", cache=trained.cache)
    with pytest.warns(match="were used for training"):
        read = hs.shift(trained.run, folder, cache=trained.cache)
    assert logged.images == read.images == 40
    assert (logged.seen, logged.unknown) == (read.seen, read.unknown)


def test_features_without_a_log_have_no_effect() -> None:
    with pytest.raises(OptionError, match="log_features has no effect without log"):
        ServeOptions.of(log_features=True)


def test_answers_wait_while_the_disk_is_full(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AnswerLog(tmp_path / "log", features=False)
    (prediction,) = trained.predictor.predict(list(trained.files(1).values()))
    values = {"model": "a", "version": "1", "sha256": "00", "seconds": 0.1}
    log.add(prediction=prediction, features=np.zeros(3, np.float32), **values)
    with monkeypatch.context() as patched:
        patched.setattr("pyarrow.parquet.write_table", _full)
        with pytest.raises(OutputError, match="1 answers wait in memory"):
            log.write()
    log.add(prediction=prediction, features=np.zeros(3, np.float32), **values)
    log.write()
    log.write()
    assert ds.dataset(tmp_path / "log").count_rows() == 2


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_is_an_error_at_the_start(
    trained: Trained, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("A file is in the way.")
    options = ServeOptions.of(log=tmp_path / "log", cache=trained.cache)
    with pytest.raises(OutputError, match="cannot be written"):
        create_app((Place.parse(str(trained.run)),), options)


def test_shift_reads_only_what_its_own_model_answered(trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.run / "bundle", other)
    predictor = hs.load(other, cache=trained.cache)
    replace(predictor, temperature=2.0).save(other, overwrite=True)
    log = tmp_path / "log"
    with serving(trained.run, other, cache=trained.cache, log=log, log_features=True) as client:
        client.post_files("/predict?model=other", trained.files(30))
        client.post_files("/predict?model=colours", trained.files(24))
    with pytest.warns(match="were used for training"):
        assert hs.shift(trained.run, log, cache=trained.cache).images == 24
    (day,) = log.iterdir()
    with pytest.warns(match="were used for training"):
        assert hs.shift(other, day, cache=trained.cache).images == 30
