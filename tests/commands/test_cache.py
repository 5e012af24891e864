"""Cache: its contents, and how they are deleted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.commands.cache import cache_clear, cache_info
from headstart.errors import StoreError
from headstart.options import CacheOptions, ClearOptions
from tests.commands.conftest import QUICK

MakeFolder = Callable[..., Path]

PARTS = ("features", "networks", "images", "boundary", "tuning")


@pytest.fixture
def filled(make_folder: MakeFolder, tmp_path: Path) -> CacheOptions:
    """Fill a cache with features, a converted network and an unpacked archive."""
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", make_folder())
    hs.train(archive, out=tmp_path / "run", cache=tmp_path / "cache", **QUICK)
    return CacheOptions.of(cache=tmp_path / "cache")


def all_of(cache: CacheOptions) -> ClearOptions:
    """Return the options that clear a whole cache."""
    return ClearOptions.of(cache=cache.cache)


def test_info_of_a_missing_cache(tmp_path: Path) -> None:
    """All sizes are 0, and no folder is created."""
    info = cache_info(CacheOptions.of(cache=tmp_path / "none"))
    assert info.tables == ()
    assert info.bytes == dict.fromkeys(PARTS, 0)
    assert not (tmp_path / "none").exists()


def test_info_counts_everything_on_disk(filled: CacheOptions) -> None:
    """The sizes of the parts sum to the size of the folder, and tables count their images."""
    info = cache_info(filled)
    files = [file for file in info.folder.rglob("*") if file.is_file()]
    assert sum(info.bytes.values()) == sum(file.stat().st_size for file in files)
    assert all(info.bytes[name] > 0 for name in ("features", "networks"))
    assert [table.images for table in info.tables] == [24]


def test_clear_keeps_unknown_files(filled: CacheOptions) -> None:
    """Files that headstart did not write are kept, so that a wrong --cache does no harm."""
    folder = cache_info(filled).folder
    (folder / "thesis.txt").write_text("mine")
    assert sum(cache_clear(all_of(filled)).values()) > 0
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_clear_only_what_fine_tunings_left(filled: CacheOptions) -> None:
    """Features stay, with which trainings are fast."""
    folder = cache_info(filled).folder
    for name in ("boundary", "tuning"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "rows").write_bytes(bytes(100))
    before = cache_info(filled).bytes
    sizes = cache_clear(ClearOptions.of(cache=filled.cache, tuning=True))
    assert sizes == {"boundary": 100, "tuning": 100}
    assert cache_info(filled).bytes == before | {"boundary": 0, "tuning": 0}


def test_clear_names_what_it_cannot_delete(
    filled: CacheOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the part that cannot be deleted, with the reason."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError) as error:
        cache_clear(all_of(filled))
    features = cache_info(filled).folder / "features"
    assert str(error.value) == f"'{features}' cannot be deleted: Permission denied."


def test_the_default_is_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without --cache, the user's cache folder of the system is used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_info(CacheOptions()).folder == tmp_path / "headstart"
