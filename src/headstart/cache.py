"""Where the cache is: a folder, with the features in an object store if it is at a URL."""

import os
from os import PathLike
from pathlib import Path

from platformdirs import user_cache_path

from headstart.urls import url_of


def cache_folder(cache: str | PathLike[str] | None) -> Path:
    """Return the folder that keeps features, converted networks and unpacked archives.

    If the cache is at a URL, it has only the features, and the rest is in the usual folder.
    """
    local = os.environ.get("HEADSTART_CACHE") if not cache or url_of(cache) else cache
    if local is None or url_of(local):
        return user_cache_path("headstart")
    return Path(local).expanduser()


def cache_url(cache: str | PathLike[str] | None) -> str | None:
    """Return the URL of the cache if it is in an object store; else None."""
    return url_of(cache or os.environ.get("HEADSTART_CACHE", ""))


def store_url(cache: str | PathLike[str] | None) -> str | None:
    """Return the URL of the feature store if the cache is in an object store; else None."""
    url = cache_url(cache)
    return url and f"{url}/features"


def feature_folder(cache: str | PathLike[str] | None) -> Path | str:
    """Return the folder or the URL of the feature store."""
    return store_url(cache) or cache_folder(cache) / "features"
