"""Atomic writes, locks and digests. All other modules write files through this one.

A file in progress has a hidden name that is unique to its writer. So two processes never write to
the same file, and a crash leaves nothing that could be mistaken for a result.
"""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

# Errors of a rename if the target is a folder, or a file in place of a folder.
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
# Each concurrent process may make one attempt fail.
_ATTEMPTS = 100
_LONGEST_SUFFIX = 32
# Errors of a file system that cannot reserve space for a file.
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
_ZEROS = bytes(2**20)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal digits; the file is read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Mapping[str, object]) -> str:
    """Return the sha256 of a JSON object, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def atomic_replace(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder that replaces the target at the end of the block.

    An existing target stays readable until then, and is kept if the block raises.

    Raises:
        OSError: The new content cannot be written or moved.
    """
    partial = partial_path(target)
    try:
        _make_folder(target.parent)
        yield partial
        replace(partial, target)
    finally:
        remove(partial)


@contextmanager
def atomic_create(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder that becomes the target unless that exists by then.

    If several processes create the same target, one of them wins and all continue with its result.

    Raises:
        OSError: The new content cannot be written or moved.
    """
    partial = partial_path(target)
    try:
        _make_folder(target.parent)
        yield partial
        _move_unless_present(partial, target)
    finally:
        remove(partial)


def write_atomically(target: Path, content: str | bytes) -> None:
    """Write a file atomically.

    Raises:
        OSError: It cannot be written; an existing file is unchanged.
    """
    with atomic_replace(target) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(target: Path, value: object) -> None:
    """Write a value as readable JSON atomically.

    Raises:
        OSError: It cannot be written; an existing file is unchanged.
    """
    write_atomically(target, json_text(value) + "\n")


def json_text(value: object) -> str:
    """Return a value as readable JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def json_list(texts: Iterable[str]) -> Iterator[str]:
    """Yield the text of a JSON list in pieces, from the readable JSON of its values."""
    before = "[\n  "
    for text in texts:
        yield before + text.replace("\n", "\n  ")
        before = ",\n  "
    yield "\n]" if before.startswith(",") else "[]"


def write_zeros(path: Path, size: int) -> None:
    """Write a file of zeros with its full size allocated on disk, to be memory-mapped.

    Raises:
        OSError: There is not enough space.
    """
    with path.open("wb") as file:
        if _reserve(file.fileno(), size):
            return
        for start in range(0, size, len(_ZEROS)):
            file.write(_ZEROS[: size - start])


def replace(new: Path, target: Path) -> None:
    """Replace a file or folder by a finished one.

    If several processes do so at once, the last one wins.

    Raises:
        OSError: It cannot be moved; the old one is still there.
    """
    for _ in range(_ATTEMPTS):
        try:
            new.replace(target)
            return
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
            if _is_folder(target) not in (None, new.is_dir()):
                raise  # A file never replaces a folder, nor a folder a file.
        if _replace_occupied(new, target):
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))


def partial_path(target: Path) -> Path:
    """Return a hidden, unique path beside a target, with the same suffix unless it is long."""
    suffix = target.suffix if len(target.suffix.encode()) <= _LONGEST_SUFFIX else ""
    return target.with_name(f".{uuid4().hex}{suffix}")


def remove(path: Path) -> None:
    """Remove a file or folder if it exists; errors are ignored."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)


def size_of(path: Path) -> int:
    """Return the size in bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(map(_bytes_of, files))


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, wait: float = 0) -> Iterator[None]:
    """Hold a lock file; the operating system releases it when the process ends, even by a crash.

    On a full or read-only disk there is no lock, since nothing can be written there anyway.

    Args:
        path: The file.
        wait: How many seconds to wait until another process or thread releases it.

    Raises:
        Locked: Another process holds it.
    """
    lock = FileLock(path, timeout=wait)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Locked(str(path)) from None
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _reserve(descriptor: int, size: int) -> bool:
    """Reserve space for an open file; return False if the system does not support it."""
    reserve = getattr(os, "posix_fallocate", None)  # Neither macOS nor Windows has it.
    if reserve is None:
        return False
    try:
        reserve(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise
        return False
    return True


def _is_folder(path: Path) -> bool | None:
    """Return whether a path is a folder; None if it does not exist."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _replace_occupied(new: Path, target: Path) -> bool:
    """Replace the target after moving it aside; return False if another process interfered."""
    aside = partial_path(target)
    try:
        target.replace(aside)
    except FileNotFoundError:
        return False
    try:
        new.replace(target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            aside.replace(target)
            raise
        remove(aside)
        return False
    remove(aside)
    return True


def _bytes_of(path: Path) -> int:
    """Return the size of a file; 0 for folders and for files that no longer exist."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _move_unless_present(new: Path, target: Path) -> None:
    if new.is_dir():
        try:
            new.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        return
    try:
        os.link(new, target)
    except FileExistsError:
        return
    except OSError:  # The file system has no hard links.
        if not target.exists():
            new.replace(target)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # A file is in the way.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
