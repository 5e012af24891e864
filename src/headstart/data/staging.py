"""The folder for unpacked archives, embedded images and the demo's table."""

from pathlib import Path

from headstart.cache import cache_folder
from headstart.errors import StoreError


def staging_folder(cache: Path | None) -> Path:
    """Return the folder for unpacked archives and embedded images in a cache."""
    return cache_folder(cache) / "images"


def make_staging(folder: Path) -> Path:
    """Create the folder and return it.

    Raises:
        StoreError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder '{folder}' cannot be created: {error.strerror}. "
            "Choose another cache folder with --cache."
        ) from None
    return folder
