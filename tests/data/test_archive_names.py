"""Names of members of archives, as programs write them; no member is lost to another one."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from headstart.data.archives import unpack
from headstart.errors import DataError, UnsafeArchive
from tests.data.test_archives import content, make_zip


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    """Windows PowerShell writes zips like that, also for folders without files."""
    files = {"photos\\a\\1.jpg": b"1", "photos\\empty\\": b"", "photos\\b\\2.jpg": b"2"}
    folder = unpack(make_zip(tmp_path / "d.zip", files), tmp_path / "out")
    assert content(folder) == {"photos/a/1.jpg": b"1", "photos/b/2.jpg": b"2"}


def test_a_backslash_does_not_hide_a_path_that_escapes(tmp_path: Path) -> None:
    """The name is checked as it is written."""
    with pytest.raises(UnsafeArchive, match="points outside"):
        unpack(make_zip(tmp_path / "d.zip", {"a\\..\\..\\x": b""}), tmp_path / "out")


def test_names_in_utf8_without_the_flag(tmp_path: Path) -> None:
    """Umlauts are read as they were meant, whether the archive says that it has UTF-8 or not."""
    path = make_zip(tmp_path / "d.zip", {"Äpfel/1.jpg": b"1", "Birnen/2.jpg": b"2"})
    data = path.read_bytes()
    for start in (b"PK\x03\x04", b"PK\x01\x02"):  # Clear the flag in both headers.
        at = data.index(start) + (6 if start == b"PK\x03\x04" else 8)
        data = data[:at] + b"\0\0" + data[at + 2 :]
    path.write_bytes(data)
    assert content(unpack(path, tmp_path / "out")) == {"Äpfel/1.jpg": b"1", "Birnen/2.jpg": b"2"}


def test_names_in_code_page_437(tmp_path: Path) -> None:
    """Names of old programs that are not UTF-8 are read by the zip standard's own code page."""
    path = make_zip(tmp_path / "d.zip", {"Xpfel/1.jpg": b"1"})
    path.write_bytes(path.read_bytes().replace(b"Xpfel", b"\x8epfel"))
    assert content(unpack(path, tmp_path / "out")) == {"Äpfel/1.jpg": b"1"}


def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    """Where the file system tells them apart."""
    files = {"Cat/1.jpg": b"1", "cat/1.jpg": b"2"}
    assert content(unpack(make_zip(tmp_path / "d.zip", files), tmp_path / "out")) == files


def test_a_file_system_that_ignores_case_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file would replace the first one, so it is an error."""
    exists = Path.exists

    def ignore_case(path: Path) -> bool:
        alike = path.parent.parent.rglob("*") if exists(path.parent.parent) else ()
        return any(str(other).lower() == str(path).lower() for other in alike)

    archive = make_zip(tmp_path / "d.zip", {"Cat/1.jpg": b"1", "cat/1.jpg": b"2"})
    monkeypatch.setattr(Path, "exists", ignore_case)
    with pytest.raises(DataError, match=r"would be one file here: 'cat/1\.jpg'"):
        unpack(archive, tmp_path / "out")


def test_a_member_that_is_written_again_replaces_the_first(tmp_path: Path) -> None:
    """As in a tar file to which a newer version was added."""
    with tarfile.open(tmp_path / "d.tar", "w") as tar:
        for data in (b"old", b"new"):
            info = tarfile.TarInfo("a/1.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert content(unpack(tmp_path / "d.tar", tmp_path / "out")) == {"a/1.jpg": b"new"}


@pytest.mark.parametrize("second", ["a/1.jpg", "a\\1.jpg", "./a/1.jpg"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_a_zip_with_one_name_are_an_error(tmp_path: Path, second: str) -> None:
    """One of two images would be lost."""
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
        file.writestr("a/1.jpg", b"1")
        file.writestr(second, b"2")
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "d.zip", tmp_path / "out")
    assert str(caught.value).startswith(
        f"Archive '{tmp_path / 'd.zip'}' has two members that would be one file here: '"
    )


def test_a_colon_is_not_a_drive(tmp_path: Path) -> None:
    """Times and ratios are names like others."""
    files = {"ratio 1:2/12:30.jpg": b"1", "ab:c.jpg": b"2"}
    assert content(unpack(make_zip(tmp_path / "d.zip", files), tmp_path / "out")) == files
