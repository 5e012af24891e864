"""Cache: the data kept between runs, and how to delete it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from headstart.cache import cache_folder, cache_url, store_url
from headstart.errors import OptionError, StoreError
from headstart.features.places import bytes_of, discard
from headstart.features.store import FeatureStore, TableInfo
from headstart.files import size_of
from headstart.options import CacheOptions, ClearOptions

_PARTS = ("features", "networks", "images", "boundary", "tuning")
_PARTS_OF_TUNING = ("boundary", "tuning")


@dataclass(frozen=True)
class CacheInfo:
    """The contents of the cache.

    Attributes:
        folder: The cache folder, or its URL in an object store, where only features are.
        tables: The feature tables.
        bytes: Size of each part on disk: features, networks, images, boundary (outputs of frozen
            layers, for further fine-tunings of the same images) and tuning (checkpoints of
            interrupted fine-tunings).
    """

    folder: Path | str
    tables: tuple[TableInfo, ...]
    bytes: dict[str, int]


def cache_info(options: CacheOptions) -> CacheInfo:
    """Return the contents of the cache and their sizes."""
    if url := store_url(options.cache):
        tables = tuple(FeatureStore(url).infos())
        return CacheInfo(
            str(cache_url(options.cache)), tables, {"features": sum(one.bytes for one in tables)}
        )
    folder = cache_folder(options.cache)
    sizes = {name: size_of(folder / name) for name in _PARTS}
    return CacheInfo(folder, tuple(FeatureStore(folder / "features").infos()), sizes)


def cache_clear(options: ClearOptions) -> dict[str, int]:
    """Delete the cache, or only what fine-tunings left in it.

    Everything can be recomputed, except for the progress of interrupted fine-tunings.

    Returns:
        The size in bytes of each part that was deleted.

    Raises:
        StoreError: A part cannot be deleted.
    """
    if url := store_url(options.cache):
        if options.tuning:
            raise OptionError(f"--tuning has no effect: '{options.cache}' has only features.")
        size = bytes_of(url)
        discard(url)
        return {"features": size}
    folder = cache_folder(options.cache)
    names = _PARTS_OF_TUNING if options.tuning else _PARTS
    sizes = {name: size_of(folder / name) for name in names}
    for name in names:
        part = folder / name
        try:
            if part.exists():
                shutil.rmtree(part)
        except OSError as error:
            raise StoreError(f"'{part}' cannot be deleted: {error.strerror}.") from None
    return sizes
