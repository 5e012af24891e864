"""Cache: what is kept between runs, and forgetting it."""

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
    """What is kept.

    Attributes:
        folder: Where.
        tables: The feature tables.
        bytes: What each part takes on disk: features, networks, images, boundary, tuning.
    """

    folder: Path
    tables: tuple[TableInfo, ...]
    bytes: dict[str, int]


def cache_info(options: CacheOptions) -> CacheInfo:
    """Tell what is kept and how large it is."""
    folder = cache_folder(options.cache)
    sizes = {name: size_of(folder / name) for name in _PARTS}
    return CacheInfo(folder, tuple(FeatureStore(folder / "features").infos()), sizes)


def cache_clear(options: CacheOptions) -> CacheInfo:
    """Forget everything that can be computed again.

    Returns:
        What was kept before.

    Raises:
        StoreError: A part cannot be removed.
    """
    before = cache_info(options)
    for name in _PARTS:
        part = before.folder / name
        try:
            if part.exists():
                shutil.rmtree(part)
        except OSError as error:
            raise StoreError(f"'{part}' cannot be removed: {error.strerror}.") from None
    return before
