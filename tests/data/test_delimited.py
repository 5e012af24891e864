"""CSV files are read with any usual delimiter and encoding."""

import codecs
from pathlib import Path

import pyarrow as pa
import pytest

from headstart.data.delimited import lines_of_rows, read_delimited

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


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_ends_of_lines(tmp_path: Path, newline: str) -> None:
    """Those of old Macs too."""
    path = tmp_path / "t.csv"
    path.write_bytes(newline.join(("path,label", "1,a", "2,b", "")).encode())
    assert read_delimited(path).table.to_pylist() == [
        {"path": "1", "label": "a"},
        {"path": "2", "label": "b"},
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    """The zeros of its letters say which it is."""
    path = tmp_path / "t.csv"
    path.write_bytes("path,label\n1,ä\n".encode(encoding))
    read = read_delimited(path)
    assert read.table.to_pylist() == [{"path": "1", "label": "ä"}]
    assert read.note == "encoded as UTF-16"


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_delimiter_that_a_spreadsheet_has_written(tmp_path: Path, line: str) -> None:
    """The line is not the header, and the delimiter is not guessed."""
    path = tmp_path / "t.csv"
    path.write_text(f"{line}\npath;label\n1,2;a,b\n")
    read = read_delimited(path)
    assert read.table.to_pylist() == [{"path": "1,2", "label": "a,b"}]
    assert read.note == "separated by semicolons"


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(200), bytes(range(256)) * 4])
def test_what_is_not_text_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Such as a spreadsheet that was renamed."""
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(pa.ArrowInvalid, match=r"^it is not text; save it as CSV"):
        read_delimited(tmp_path / "t.csv")


def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    """Whatever is then taken for a cell is too long."""
    (tmp_path / "t.csv").write_text('path,"label\n' + "1,a\n" * 50_000)
    with pytest.raises(pa.ArrowInvalid, match="field larger than field limit"):
        read_delimited(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a", "line 5 has 1 cell, and the header 2 columns"),
        ("a,b,c", "line 5 has 3 cells, and the header 2 columns"),
        (
            '"a,b',
            "line 5 has 1 cell, and the header 2 columns; a quotation mark in it is not closed",
        ),
    ],
)
def test_a_row_of_another_length_is_named_by_its_line(
    tmp_path: Path, row: str, problem: str
) -> None:
    """Blank lines and the line of the delimiter are lines of the file too."""
    (tmp_path / "t.csv").write_text(f"sep=,\npath,label\n\n1,a\n{row}\n3,c\n")
    with pytest.raises(pa.ArrowInvalid) as raised:
        read_delimited(tmp_path / "t.csv")
    assert str(raised.value) == problem


def test_the_lines_of_rows(tmp_path: Path) -> None:
    """A cell may have line breaks in it."""
    (tmp_path / "t.csv").write_text('path,label\n1,"a\nb"\n\n2,c\r3,d\n')
    assert lines_of_rows(tmp_path / "t.csv") == [2, 5, 6]
    assert len(read_delimited(tmp_path / "t.csv").table) == 3
