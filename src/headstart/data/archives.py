"""Safe unpacking of zip and tar archives."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Protocol

from pydantic import Field

from headstart.data.staging import make_staging
from headstart.errors import DataError, UnsafeArchive
from headstart.files import atomic_create, file_sha256
from headstart.options import Options

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 2**20
_UTF8_FLAG = 0x800
# Increase it whenever an archive may be unpacked to other files.
_VERSION = 3
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error)


class ArchiveLimits(Options):
    """Limits on the unpacked content of an archive."""

    max_files: int = Field(1_000_000, gt=0, description="Maximum number of files.")
    max_bytes: int = Field(64 * 2**30, gt=0, description="Maximum size when unpacked, in bytes.")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    problem: str | None
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Return whether a file name has the suffix of a supported archive."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, into: Path, limits: ArchiveLimits | None = None) -> Path:
    """Unpack an archive into a folder named by its sha256, unless that was done before.

    Args:
        archive: A zip or tar file, compressed or not.
        into: The folder that keeps unpacked archives.
        limits: Maximum number of files and bytes. Bytes are counted as they are written; the sizes
            that the archive declares are not trusted.

    Returns:
        The folder with the content.

    Raises:
        UnsafeArchive: A member has an absolute path or "..", is a link or a device, or a limit is
            exceeded.
        DataError: The file is not an archive or is damaged.
    """
    folder = make_staging(into) / f"{_digest(archive)}-{_VERSION}"
    if not folder.is_dir():
        try:
            with atomic_create(folder) as partial:
                _unpack(archive, partial, limits or ArchiveLimits())
        except DAMAGE as error:
            raise DataError(f"Archive '{archive}' is damaged: {error}.") from None
        except (OSError, RuntimeError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"Archive '{archive}' cannot be unpacked: {reason}.") from None
    return folder


def _digest(archive: Path) -> str:
    try:
        return file_sha256(archive)
    except OSError as error:
        raise DataError(f"Archive '{archive}' cannot be read: {error.strerror}.") from None


def _unpack(archive: Path, into: Path, limits: ArchiveLimits) -> None:
    into.mkdir(parents=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            _write([_zip_member(file, info) for info in file.infolist()], archive, into, limits)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            # What is added to a tar replaces what it has under the same name.
            latest = {info.name: info for info in tar if not info.isdir()}
            members = [_tar_member(tar, info) for info in latest.values()]
            _write(members, archive, into, limits)
            _read_to_end(tar.fileobj, limits)
    else:
        raise DataError(
            f"'{archive}' is named like an archive but is neither zip nor tar, or is incomplete."
        )


def _write(members: list[_Member], archive: Path, into: Path, limits: ArchiveLimits) -> None:
    """Check every member, then write them all."""
    if len(members) > limits.max_files:
        raise UnsafeArchive(
            f"Archive '{archive}' has {len(members):,} members; the limit is {limits.max_files:,}."
        )
    for member in members:
        problem = member.problem or _name_problem(member.name)
        if problem:
            raise UnsafeArchive(
                f"Archive '{archive}' has an unsafe member '{member.name}': {problem}."
            )
    remaining = limits.max_bytes
    for member in members:
        if not member.name.endswith("/"):
            if (into / member.name).exists():
                raise DataError(
                    f"Archive '{archive}' has two members that would be one file here: "
                    f"'{member.name}'. Unpack it elsewhere and rename one."
                )
            remaining = _write_member(member, into, remaining)
            if remaining < 0:
                raise UnsafeArchive(
                    f"Archive '{archive}' unpacks to more than {limits.max_bytes:,} bytes."
                )


def _read_to_end(file: _Readable | None, limits: ArchiveLimits) -> None:
    """Read the rest of a tar, which verifies the checksum at the end of a compressed one."""
    remaining = limits.max_bytes
    while file and remaining > 0 and (chunk := file.read(_CHUNK)):
        remaining -= len(chunk)


def _write_member(member: _Member, into: Path, remaining: int) -> int:
    """Write a member and return how many bytes may still be written; negative if too many were."""
    target = into / PurePosixPath(member.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        return remaining
    with source, target.open("wb") as file:
        while remaining >= 0 and (chunk := source.read(_CHUNK)):
            remaining -= len(chunk)
            file.write(chunk[: remaining + len(chunk)] if remaining < 0 else chunk)
    return remaining


def _name_problem(name: str) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive:
        return "its path is absolute"
    if ".." in path.parts:
        return "its path points outside the archive's folder"
    if "\0" in name:
        return "its path has a null character"
    return None


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member as it was meant.

    Windows PowerShell separates folders by backslashes. Some programs write UTF-8 without the flag
    that says so, which Python reads as code page 437.
    """
    name = info.orig_filename
    if not info.flag_bits & _UTF8_FLAG:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    special = kind not in (0, stat.S_IFREG, stat.S_IFDIR)
    problem = "it is a link or a device" if special else None
    if info.flag_bits & 1:
        problem = "it is encrypted"
    return _Member(_zip_name(info), info.file_size, problem, lambda: file.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    problem = None if info.isreg() else "it is a link or a device"
    return _Member(info.name, info.size, problem, lambda: tar.extractfile(info))
