"""Walk the files of a folder, and show names that are not valid UTF-8."""

import os
from collections.abc import Iterator
from pathlib import Path

from headstart.errors import DataError


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder in a fixed order, without hidden files.

    Links are followed, but each real folder is walked only once.
    """
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def printable(name: str) -> str:
    """Return a name with escapes in place of bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"Folder '{error.filename}' cannot be read: {error.strerror}.")
