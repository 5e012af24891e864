"""Cache: the data kept between runs, and how to delete it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import StoreError
from headstart.features.store import FeatureStore, TableInfo
from headstart.files import size_of
from headstart.options import CacheOptions, cache_folder

_PARTS = ("features", "networks", "images", "boundary", "tuning")


@dataclass(frozen=True)
class CacheInfo:
    """The contents of the cache.

    Attributes:
        folder: The cache folder.
        tables: The feature tables.
        bytes: Size of each part on disk: features, networks, images, boundary, tuning.
    """

    folder: Path
    tables: tuple[TableInfo, ...]
    bytes: dict[str, int]


def cache_info(options: CacheOptions) -> CacheInfo:
    """Return the contents of the cache and their sizes."""
    folder = cache_folder(options.cache)
    sizes = {name: size_of(folder / name) for name in _PARTS}
    return CacheInfo(folder, tuple(FeatureStore(folder / "features").infos()), sizes)


def cache_clear(options: CacheOptions) -> CacheInfo:
    """Delete everything in the cache; all of it can be recomputed.

    Returns:
        The contents before the deletion.

    Raises:
        StoreError: A part cannot be deleted.
    """
    before = cache_info(options)
    for name in _PARTS:
        part = before.folder / name
        try:
            if part.exists():
                shutil.rmtree(part)
        except OSError as error:
            raise StoreError(f"'{part}' cannot be deleted: {error.strerror}.") from None
    return before
