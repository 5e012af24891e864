"""Where the cache is."""

from pathlib import Path

import pytest

from headstart.cache import cache_folder, store_url


def test_the_cache_is_the_users_unless_one_is_given(tmp_path, monkeypatch):
    """Without an option, the user's cache folder is used; a tilde is the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder(None) == tmp_path / "cache" / "headstart"
    assert cache_folder(Path("~/here")) == tmp_path / "here"
    assert cache_folder(Path("there")) == Path("there")


def test_the_cache_folder_and_its_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HEADSTART_CACHE names it; at a URL are features only, and the rest is in the usual folder."""
    usual = cache_folder(None)
    assert store_url(None) is None
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    assert (cache_folder(None), cache_folder("c")) == (tmp_path, Path("c"))
    assert (cache_folder("s3://b/c"), store_url("s3://b/c")) == (tmp_path, "s3://b/c/features")
    monkeypatch.setenv("HEADSTART_CACHE", "s3://b/c")
    assert (cache_folder(None), store_url(None)) == (usual, "s3://b/c/features")
    assert (cache_folder("here"), store_url("here")) == (Path("here"), None)
