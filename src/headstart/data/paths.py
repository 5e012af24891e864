"""The files below a folder, and names as they can be shown."""

import os
from collections.abc import Iterator
from pathlib import Path

from headstart.errors import DataError


def files_of(folder: Path) -> Iterator[Path]:
    """Walk all files below a folder in a fixed order, each real folder once, hidden ones never."""
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def printable(name: str) -> str:
    """Return a name that can be shown: bytes that are not UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _refuse(error: OSError) -> None:
    raise DataError(f"Folder '{error.filename}' cannot be read: {error.strerror}.")
