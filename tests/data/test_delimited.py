"""CSV files are read with any usual delimiter and encoding."""

import codecs
from pathlib import Path

import pytest

from headstart.data.delimited import read_delimited

ROWS = [["path", "label"], ["1, a.png", "süß"], ["2; b.png", "x|y"], ["3\tc.png", "012"]]


def text_of(delimiter: str) -> str:
    """Write the rows, each cell quoted."""
    return "".join(delimiter.join(f'"{cell}"' for cell in row) + "\r\n" for row in ROWS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, encoding: str) -> None:
    """Delimiters within quotes belong to the cell, and every cell is text."""
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(delimiter).encode(encoding))
    read = read_delimited(path).table.to_pylist()
    assert [[row["path"], row["label"]] for row in read] == ROWS[1:]


def test_big_endian_utf16(tmp_path: Path) -> None:
    """The byte order mark says which it is."""
    path = tmp_path / "t.csv"
    path.write_bytes(codecs.BOM_UTF16_BE + "path,label\n1,ä\n".encode("utf-16-be"))
    assert read_delimited(path).table.to_pylist() == [{"path": "1", "label": "ä"}]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"path,label\n1,a\n", ""),
        (b"\xef\xbb\xbfpath,label\n1,a\n", ""),
        (b"path;label\n1;a\n", "separated by semicolons"),
        (b"path,label\n1,caf\xe9\n", "encoded as Windows-1252"),
        ("path\tlabel\n1\ta\n".encode("utf-16"), "separated by tabs and encoded as UTF-16"),
    ],
)
def test_the_note_says_what_is_unusual(tmp_path: Path, content: bytes, note: str) -> None:
    """Commas and UTF-8 are not worth a word."""
    (tmp_path / "t.csv").write_bytes(content)
    assert read_delimited(tmp_path / "t.csv").note == note


def test_decimal_commas_do_not_hide_semicolons(tmp_path: Path) -> None:
    """The delimiter is the one that splits all lines alike."""
    (tmp_path / "t.csv").write_text("path;label;size\n1.png;a;2,5\n2.png;b;3,5\n")
    assert read_delimited(tmp_path / "t.csv").table.column_names == ["path", "label", "size"]


def test_spaces_around_column_names(tmp_path: Path) -> None:
    """They are not part of the names."""
    (tmp_path / "t.csv").write_text("path , label\n1.png,a\n")
    assert read_delimited(tmp_path / "t.csv").table.column_names == ["path", "label"]
