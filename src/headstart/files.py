"""Files that are written whole or not at all, locks, and digests. Nothing else writes in place.

A name in progress starts with a dot and is unique to the writer, so that two processes never share
one, and a crash leaves nothing that could be taken for a result.
"""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

# What a rename meets where a folder, or a file in the place of a folder, is in the way.
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
# Other processes may each get in between once.
_ATTEMPTS = 100
_LONGEST_SUFFIX = 32
# What a file system says that cannot reserve room for a file.
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
_ZEROS = bytes(2**20)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, in hexadecimal digits, reading it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Mapping[str, object]) -> str:
    """Return the sha256 of a JSON object, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder that takes the target's place once the block is done.

    An earlier target stays readable until then, and stays for good if the block raises.

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
def written_once(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder that becomes the target unless there is one by then.

    Of several processes that make the same thing, one wins, and all go on with its result.

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


def write_whole(target: Path, content: str | bytes) -> None:
    """Write a file's content in one step.

    Raises:
        OSError: It cannot be written; an earlier file is unchanged.
    """
    with written_whole(target) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(target: Path, value: object) -> None:
    """Write a value as readable JSON in one step.

    Raises:
        OSError: It cannot be written; an earlier file is unchanged.
    """
    write_whole(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_zeros(path: Path, size: int) -> None:
    """Write a file of zeros that really takes its bytes on disk, to be mapped into memory.

    Raises:
        OSError: There is no room for it.
    """
    with path.open("wb") as file:
        if _reserved(file.fileno(), size):
            return
        for start in range(0, size, len(_ZEROS)):
            file.write(_ZEROS[: size - start])


def replace(new: Path, target: Path) -> None:
    """Move a finished file or folder to the place of another, which is there until then.

    Of several processes that do so at once, the last one stays.

    Raises:
        OSError: It cannot be moved; the other one is still there.
    """
    for _ in range(_ATTEMPTS):
        try:
            new.replace(target)
            return
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
            if _is_folder(target) not in (None, new.is_dir()):
                raise  # A file never takes a folder's place, nor a folder a file's.
        if _replace_occupied(new, target):
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))


def partial_path(target: Path) -> Path:
    """Return a hidden path beside a target that no other process uses, of the same short suffix."""
    suffix = target.suffix if len(target.suffix.encode()) <= _LONGEST_SUFFIX else ""
    return target.with_name(f".{uuid4().hex}{suffix}")


def remove(path: Path) -> None:
    """Remove a file or folder if it is there and can be removed."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)


def size_of(path: Path) -> int:
    """Return the bytes that a file or everything in a folder takes on disk."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(map(_bytes_of, files))


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the operating system lets go of it when the process ends, however it does.

    On a disk that is full or read-only there is no lock, since nothing can be written there anyway.

    Raises:
        Locked: Another process holds it.
    """
    lock = FileLock(path, timeout=0)
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


def _reserved(descriptor: int, size: int) -> bool:
    """Reserve room for an open file; return False where system or file system cannot."""
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
    """Return whether a path is a folder; None if nothing is there."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _replace_occupied(new: Path, target: Path) -> bool:
    """Move what is there aside first; return False if another process got in between."""
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
    """Return the size of a file; 0 for a folder, and for what is gone by now."""
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
    except OSError:  # A file system without hard links.
        if not target.exists():
            new.replace(target)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # A file is in the way.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
