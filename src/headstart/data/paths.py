"""Paths of data, the files of a folder, and names that are not valid UTF-8."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.errors import DataError
from headstart.urls import is_on_web, url_name, url_of

_SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "lost+found", "$recycle.bin", "__macosx"),
        *("system volume information", "__pycache__"),
    )
)

OnUnreadable = Callable[[OSError], None]
"""Called with the error of a folder that cannot be read."""

OnRepeated = Callable[[Path], None]
"""Called with a folder that is walked under another name."""


def walk_files(
    folder: Path,
    *,
    on_unreadable: OnUnreadable | None = None,
    on_repeated: OnRepeated | None = None,
) -> Iterator[Path]:
    """Yield all files below a folder in a fixed order, without hidden files and system folders.

    Links are followed, but each real folder is walked only once: under its own name, if that is
    below the folder, too.

    Args:
        folder: Where to begin.
        on_unreadable: Called for each folder below that cannot be read, which is then left out. By
            default, that is an error.
        on_repeated: Called for each folder that is walked under another name, and so left out.

    Raises:
        DataError: The folder cannot be read.
    """

    def fail(error: OSError) -> None:
        if on_unreadable is None or Path(error.filename) == folder:
            raise DataError(f"Folder '{error.filename}' cannot be read: {error.strerror}.")
        on_unreadable(error)

    real = folder.resolve()
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        status = Path(root).stat()
        repeated = (status.st_dev, status.st_ino) in seen or _is_link_within(Path(root), real)
        if repeated and Path(root) != folder:
            folders.clear()
            if on_repeated:
                on_repeated(Path(root))
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_skipped(name))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _is_link_within(folder: Path, root: Path) -> bool:
    """Return whether a folder is a link to one that is walked under its own name."""
    if not folder.is_symlink():
        return False
    target = folder.resolve()
    return target.is_relative_to(root) and not any(map(is_skipped, target.relative_to(root).parts))


def is_skipped(folder: str) -> bool:
    """Return whether a folder of this name is hidden or belongs to the operating system."""
    return folder.startswith(".") or folder.lower() in _SYSTEM_FOLDERS


def printable(name: str) -> str:
    """Return a name with escapes in place of bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def list_names(names: list[str] | tuple[str, ...], limit: int = 5) -> str:
    """Join names for a sentence; of many, the first ones and the number of the others."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def data_path(data: str | os.PathLike[str]) -> Path:
    """Return the path of data, with the home folder in place of "~".

    Raises:
        DataError: It is not a path, or is empty or a URL.
    """
    _check_path(data)
    if url_of(data):
        raise DataError(f"Data '{data}' is a URL. Download it first.")
    return Path(data).expanduser()


def object_url(data: str | os.PathLike[str]) -> str | None:
    """Return the URL of data in an object store; None if data is on this machine.

    Raises:
        DataError: It is not a path, or is empty or a URL of the web.
    """
    _check_path(data)
    url = url_of(data)
    if url and is_on_web(url):
        raise DataError(f"Data '{data}' is a URL. Download it first.")
    return url


def data_place(data: str | os.PathLike[str]) -> str:
    """Return the absolute path or the URL of data.

    Raises:
        DataError: It is not a path, or is empty or a URL of the web.
    """
    return object_url(data) or str(data_path(data).resolve())


def _check_path(data: str | os.PathLike[str]) -> None:
    if not isinstance(data, (str, os.PathLike)) or not os.fspath(data):
        what = repr(data) if data in (None, "") else f"a value of type {type(data).__name__}"
        raise DataError(f"Data must be the path of a folder, a table or an archive, not {what}.")


def existing_path(data: str | os.PathLike[str]) -> Path:
    """Return the path of data that exists.

    Raises:
        DataError: It does not exist, cannot be opened, or is not a path.
    """
    path = data_path(data)
    try:
        found = path.exists()
    except OSError as error:
        raise DataError(f"Data '{data}' cannot be opened: {error.strerror}.") from None
    if not found:
        raise DataError(f"Data '{printable(str(data))}' does not exist.")
    return path


def check_exists(data: str | os.PathLike[str]) -> None:
    """Check that data on this machine exists; a URL or a pattern is looked at when it is opened.

    Raises:
        DataError: It does not exist, cannot be opened, or is not a path.
    """
    if not object_url(data) and "{" not in os.fspath(data):
        existing_path(data)


def data_name(data: str | os.PathLike[str]) -> str:
    """Return a short name for data: a folder's own, or a file's without its suffixes.

    Raises:
        DataError: It is not a path.
    """
    if url := object_url(data):
        return url_name(url).split(".")[0]
    path = data_path(data).resolve()
    return path.name.split(".")[0] if path.is_file() else path.name
