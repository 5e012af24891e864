"""Trainings on data of unusual file systems."""

import shutil
from collections.abc import Callable
from pathlib import Path

import headstart as hs
from tests.cli.conftest import Completed
from tests.integration.test_sources import csv_table

Cli = Callable[..., Completed]
MakeFolder = Callable[..., Path]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of everything in a folder."""
    stats = {path.relative_to(folder): path.lstat() for path in folder.rglob("*")}
    return {str(name): (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_data_is_never_written_to(make_folder: MakeFolder, train: Cli, tmp_path: Path) -> None:
    """Folders, tables and archives may be read-only."""
    data = tmp_path / "data"
    data.mkdir()
    photos = Path(shutil.move(make_folder(), data / "photos"))
    table = csv_table(photos)
    archive = shutil.make_archive(str(data / "packed"), "zip", photos)
    for path in (data, *data.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(data)
    for number, source in enumerate((photos, table, archive)):
        assert train(source, "--out", tmp_path / f"run{number}").code == 0
    assert snapshot(data) == before


def test_links_in_a_circle(make_folder: MakeFolder, train: Cli, tmp_path: Path) -> None:
    """Each image is used once."""
    photos = make_folder()
    (photos / "red/again").symlink_to(photos)
    (photos / "red/itself").symlink_to(photos / "red/itself")
    assert train(photos, "--out", tmp_path / "run").code == 0
    record = hs.load(tmp_path / "run").record
    assert record
    assert sum((record.data.images.train, record.data.images.test)) == 24


def test_names_of_255_bytes(make_folder: MakeFolder, train: Cli, tmp_path: Path) -> None:
    """Of a class, of its files and of the run."""
    photos = make_folder()
    long = "ü" * 127 + "x"
    (photos / "red").rename(photos / long)
    for file in (photos / long).iterdir():
        file.rename(file.with_name(f"{'y' * 248}{file.name}"))
    assert train(photos, "--out", tmp_path / long).code == 0
    assert hs.load(tmp_path / long).classes == ("blue", long)
