"""Read CSV files as people have them: any usual delimiter and encoding, all cells as text."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SAMPLE_LINES = 20


@dataclass(frozen=True)
class Delimited:
    """A CSV file that was read.

    Attributes:
        table: Its columns; every cell is text.
        note: How it was read, if that is not the usual way: the delimiter and the encoding.
    """

    table: pa.Table
    note: str


def read_delimited(path: Path) -> Delimited:
    """Read a CSV file; delimiter and encoding are detected.

    The delimiter is a comma, a semicolon, a tab or a vertical bar: the one that splits the first
    lines into the most columns, equally many in each. The encoding is UTF-8, UTF-16 with a byte
    order mark or, if the bytes are neither, Windows-1252.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowInvalid: It is empty, or its rows differ in length.
    """
    text, encoding = _decode(path.read_bytes())
    delimiter = _delimiter(text)
    header = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    table = pa.csv.read_csv(
        pa.BufferReader(text.encode()),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in header}, strings_can_be_null=False
        ),
    )
    names = [name.strip() for name in table.column_names]
    unusual = [f"separated by {_DELIMITERS[delimiter]}"] if delimiter != "," else []
    unusual += [f"encoded as {encoding}"] if encoding != "UTF-8" else []
    return Delimited(table.rename_columns(names), " and ".join(unusual))


def _decode(data: bytes) -> tuple[str, str]:
    """Return the text and the name of its encoding."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            return text, "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
    try:
        return data.decode(), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "Windows-1252"


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the first lines into the most columns."""
    lines = [line for line in text[:65536].splitlines() if line.strip()][:_SAMPLE_LINES]
    columns = {delimiter: _columns(lines, delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=columns.__getitem__)


def _columns(lines: list[str], delimiter: str) -> tuple[bool, int]:
    """Return whether the delimiter splits all lines alike, and into how many columns the first."""
    counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    first = counts[0] if counts else 0
    return first > 1 and len(set(counts)) == 1, first
