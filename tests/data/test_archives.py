"""Archives are unpacked once, never outside their folder and never beyond the limits."""

import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.data.archives import ArchiveLimits, is_archive, unpack
from headstart.errors import DataError, UnsafeArchive
from headstart.files import atomic_create, file_sha256

FILES = {"photos/a/1.txt": b"one", "photos/b/2.txt": b"two"}


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip archive with the given files."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """Write a tar archive with the given files."""
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def special_tar(path: Path, kind: bytes) -> Path:
    """Write a tar with one ordinary file and one member of a special kind."""
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("a/1.txt")
        archive.addfile(good, io.BytesIO())
        info = tarfile.TarInfo("a/bad")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def damage(path: Path, start: float) -> None:
    """Invert forty bytes of a file, starting at a fraction of its length."""
    data = bytearray(path.read_bytes())
    first = int(len(data) * start)
    data[first : first + 40] = bytes(255 - value for value in data[first : first + 40])
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.zip", True),
        ("A.ZIP", True),
        ("a.tar", True),
        ("a.tar.gz", True),
        ("a.tgz", True),
        ("a.tar.bz2", True),
        ("a.tar.xz", True),
        ("a.gz", False),
        ("a.csv", False),
        ("zip", False),
    ],
)
def test_an_archive_is_recognised_by_its_name(name: str, expected: bool) -> None:
    """Zip and tar archives are recognised, compressed or not, in upper or lower case."""
    assert is_archive(Path(name)) is expected


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("d.zip", make_zip),
        ("d.tar", make_tar),
        ("d.tar.gz", lambda path, files: make_tar(path, files, "w:gz")),
        ("d.tar.bz2", lambda path, files: make_tar(path, files, "w:bz2")),
        ("d.tar.xz", lambda path, files: make_tar(path, files, "w:xz")),
    ],
)
def test_every_kind_is_unpacked(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    """All files are unpacked."""
    folder = unpack(make(tmp_path / name, FILES), tmp_path / "out")
    assert content(folder) == FILES


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    """The second call writes nothing, as the folder is named by the content's sha256."""
    archive, out = make_zip(tmp_path / "d.zip", FILES), tmp_path / "out"
    first = unpack(archive, out)
    assert first == out / f"{file_sha256(archive)}-3"
    (first / "mark").touch()
    moved = archive.rename(tmp_path / "other name.zip")
    assert unpack(moved, out) == first
    assert (first / "mark").exists()


def test_changed_content_is_unpacked_again(tmp_path: Path) -> None:
    """An archive with the same name but different content gets another folder."""
    archive, out = tmp_path / "d.zip", tmp_path / "out"
    first = unpack(make_zip(archive, FILES), out)
    second = unpack(make_zip(archive, {"photos/a/1.txt": b"new"}), out)
    assert first != second
    assert content(second) == {"photos/a/1.txt": b"new"}


def test_leftovers_of_an_interrupted_run_are_ignored(tmp_path: Path) -> None:
    """A partial folder of a killed process is not used as the archive's content."""
    archive, out = make_zip(tmp_path / "d.zip", FILES), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), atomic_create(out / file_sha256(archive)) as partial:
        partial.mkdir()
        (partial / "half").touch()
        shutil.copytree(partial, out / f".{partial.name}-left")
        raise KeyboardInterrupt
    assert content(unpack(archive, out)) == FILES


def test_concurrent_unpacking_shares_one_folder(tmp_path: Path) -> None:
    """Whoever finishes later uses the folder of the first."""
    archive, out = make_zip(tmp_path / "d.zip", FILES), tmp_path / "out"
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: unpack(archive, out), range(8)))
    assert {content(folder)["photos/a/1.txt"] for folder in folders} == {b"one"}
    assert [path.name for path in out.iterdir()] == [f"{file_sha256(archive)}-3"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../evil.txt", "its path points outside the archive's folder"),
        ("a/../../evil.txt", "its path points outside the archive's folder"),
        ("a\\..\\..\\evil.txt", "its path points outside the archive's folder"),
        ("/evil.txt", "its path is absolute"),
        ("C:\\evil.txt", "its path is absolute"),
    ],
)
def test_a_path_that_escapes_is_refused(
    tmp_path: Path, make: Callable[..., Path], name: str, problem: str
) -> None:
    """Nothing is written, not even the valid members before it."""
    archive, out = make(tmp_path / "d.archive", {"a/1.txt": b"one", name: b"evil"}), tmp_path / "o"
    with pytest.raises(UnsafeArchive) as caught:
        unpack(archive, out)
    shown = name.replace("\\", "/") if make is make_zip else name
    assert str(caught.value) == f"Archive '{archive}' has an unsafe member '{shown}': {problem}."
    assert list(out.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.archive", "o"]


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
    ids=["symlink", "hard link", "character device", "block device", "pipe"],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    """Only ordinary files and folders are unpacked."""
    archive, out = special_tar(tmp_path / "d.tar", kind), tmp_path / "out"
    with pytest.raises(UnsafeArchive) as caught:
        unpack(archive, out)
    assert str(caught.value) == (
        f"Archive '{archive}' has an unsafe member 'a/bad': it is a link or a device."
    )
    assert list(out.iterdir()) == []


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    """A zip member that is marked as a symlink is not written."""
    archive = tmp_path / "d.zip"
    info = zipfile.ZipInfo("a/bad")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchive) as caught:
        unpack(archive, tmp_path / "out")
    assert str(caught.value) == (
        f"Archive '{archive}' has an unsafe member 'a/bad': it is a link or a device."
    )


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_many_files_are_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    """The limit is inclusive."""
    archive = make(tmp_path / "d.archive", {f"a/{number}": b"" for number in range(1200)})
    assert len(content(unpack(archive, tmp_path / "ok", ArchiveLimits(max_files=1200)))) == 1200
    with pytest.raises(UnsafeArchive) as caught:
        unpack(archive, tmp_path / "out", ArchiveLimits(max_files=1199))
    assert str(caught.value) == f"Archive '{archive}' has 1,200 members; the limit is 1,199."


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_many_bytes_are_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    """The limit applies to all members together, and a partial folder is removed."""
    archive = make(tmp_path / "d.archive", {"a/1": bytes(1500), "a/2": bytes(1500)})
    out = tmp_path / "out"
    assert len(content(unpack(archive, tmp_path / "ok", ArchiveLimits(max_bytes=3000)))) == 2
    with pytest.raises(UnsafeArchive) as caught:
        unpack(archive, out, ArchiveLimits(max_bytes=2999))
    assert str(caught.value) == f"Archive '{archive}' unpacks to more than 2,999 bytes."
    assert list(out.iterdir()) == []


def test_a_zip_never_writes_more_than_its_header_declares(tmp_path: Path) -> None:
    """A zip bomb with a false size is reported as damaged and leaves nothing on disk."""
    archive, out = make_zip(tmp_path / "d.zip", {"a/1": bytes(5_000_000)}), tmp_path / "out"
    size, lie = struct.pack("<L", 5_000_000), struct.pack("<L", 100)
    data = archive.read_bytes()
    assert data.count(size) == 2
    archive.write_bytes(data.replace(size, lie))
    with pytest.raises(DataError) as caught:
        unpack(archive, out, ArchiveLimits(max_bytes=1000))
    assert str(caught.value) == f"Archive '{archive}' is damaged: Bad CRC-32 for file 'a/1'."
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("d.zip", make_zip),
        ("d.zip", lambda path, files: make_zip(path, files, zipfile.ZIP_LZMA)),
        ("d.zip", lambda path, files: make_zip(path, files, zipfile.ZIP_BZIP2)),
        ("d.tar.gz", lambda path, files: make_tar(path, files, "w:gz")),
        ("d.tar.bz2", lambda path, files: make_tar(path, files, "w:bz2")),
        ("d.tar.xz", lambda path, files: make_tar(path, files, "w:xz")),
    ],
    ids=["zip", "zip lzma", "zip bzip2", "tar.gz", "tar.bz2", "tar.xz"],
)
@pytest.mark.parametrize("start", [0.3, 0.6])
def test_a_damaged_archive_is_an_error(
    tmp_path: Path, name: str, make: Callable[..., Path], start: float
) -> None:
    """The message names the archive, and nothing is left on disk."""
    words = b" ".join(str(number * 7919 % 100_003).encode() for number in range(40_000))
    archive, out = make(tmp_path / name, {"a/1.txt": words}), tmp_path / "out"
    damage(archive, start)
    with pytest.raises(DataError) as caught:
        unpack(archive, out)
    assert str(caught.value).startswith((f"Archive '{archive}' ", f"'{archive}' "))
    assert list(out.iterdir()) == []


def test_a_damaged_deflate_stream_is_an_error(tmp_path: Path) -> None:
    """If a zip member is not a valid deflate stream, the message names the archive."""
    archive = make_zip(tmp_path / "d.zip", {"a/1.txt": bytes(3000)})
    packed = zlib.compressobj(wbits=-15)
    stream = packed.compress(bytes(3000)) + packed.flush()
    data = archive.read_bytes()
    assert stream in data
    archive.write_bytes(data.replace(stream, b"\xff" * len(stream)))
    with pytest.raises(DataError, match=f"^Archive '{archive}' is damaged: "):
        unpack(archive, tmp_path / "out")


def test_a_truncated_tar_is_an_error(tmp_path: Path) -> None:
    """An incomplete download is detected."""
    archive = make_tar(tmp_path / "d.tar", {"a/1": bytes(30_000), "a/2": bytes(30_000)})
    os.truncate(archive, 20_000)
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "out")
    assert str(caught.value) == f"Archive '{archive}' is damaged: unexpected end of data."


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("name", ["d.zip", "d.tar.gz"])
def test_a_file_that_is_not_an_archive_is_an_error(tmp_path: Path, name: str, data: bytes) -> None:
    """The message says that only the name is that of an archive."""
    archive = tmp_path / name
    archive.write_bytes(data)
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "out")
    assert str(caught.value) == (
        f"'{archive}' is named like an archive but is neither zip nor tar, or is incomplete."
    )


def test_an_encrypted_zip_is_an_error(tmp_path: Path) -> None:
    """The message says that the zip is encrypted."""
    archive = make_zip(tmp_path / "d.zip", {"a/1.txt": b"one"})
    data = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(f"Archive '{archive}' ")
    assert "'a/1.txt'" in text
    assert "encrypted" in text
    assert "ZipInfo" not in text


@pytest.mark.parametrize(
    "files",
    [{"a": b"1", "a/b": b"2"}, {"a" * 300: b"1"}],
    ids=["file and folder of one name", "name too long"],
)
def test_a_member_that_cannot_be_written_is_an_error(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    """A name that the file system refuses is reported with the archive's name."""
    archive, out = make_zip(tmp_path / "d.zip", files), tmp_path / "out"
    with pytest.raises(DataError, match=f"^Archive '{archive}' "):
        unpack(archive, out)
    assert list(out.iterdir()) == []


def test_an_archive_without_read_permission_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permission error is reported with the archive's name."""
    archive = make_zip(tmp_path / "d.zip", FILES)

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=f"'{archive}'"):
        unpack(archive, tmp_path / "out")
