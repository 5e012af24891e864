"""Read CSV files as people have them: any usual delimiter and encoding, all cells as text."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SAMPLE_LINES = 20
_SAMPLE_BYTES = 1000
# Spreadsheets write the delimiter into a first line of this form, and read it from there.
_GIVEN_DELIMITER = re.compile(r'"?sep=([,;\t|])"?\n', re.IGNORECASE)


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
    lines into the most columns, equally many in each; or the one in a first line such as "sep=;".
    The encoding is UTF-8, UTF-16 or, if the bytes are neither, Windows-1252.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowInvalid: It is empty or is not text, or its rows differ in length.
    """
    opened = _Text.read(path)
    if not opened.text.strip():
        raise pa.ArrowInvalid("it is empty")
    try:
        header = next(csv.reader(io.StringIO(opened.text), delimiter=opened.delimiter), [])
    except csv.Error as error:
        raise pa.ArrowInvalid(str(error)) from None
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(_in_arrow(opened.text)),
            parse_options=pa.csv.ParseOptions(delimiter=opened.delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in header}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        if problem := opened.first_problem(len(header)):
            raise pa.ArrowInvalid(problem) from None
        raise
    names = [name.strip() for name in table.column_names]
    delimiter, encoding = opened.delimiter, opened.encoding
    unusual = [f"separated by {_DELIMITERS[delimiter]}"] if delimiter != "," else []
    unusual += [f"encoded as {encoding}"] if encoding != "UTF-8" else []
    return Delimited(table.rename_columns(names), " and ".join(unusual))


def lines_of_rows(path: Path) -> list[int]:
    """Return the line of the file in which each row begins, from 1; blank lines are no rows.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowInvalid: It is not text.
    """
    return [line for line, _, _ in _Text.read(path).rows()][1:]


@dataclass(frozen=True)
class _Text:
    """The text of a file.

    Attributes:
        text: Without a first line that names the delimiter.
        encoding: How it was encoded.
        delimiter: What separates cells.
        skipped: The number of lines before the text.
    """

    text: str
    encoding: str
    delimiter: str
    skipped: int

    @classmethod
    def read(cls, path: Path) -> "_Text":
        text, encoding = _decode(path.read_bytes())
        text = io.StringIO(text, newline=None).read()  # Old Macs ended lines by "\r" alone.
        given = _GIVEN_DELIMITER.match(text)
        text = text[given.end() :] if given else text
        delimiter = given[1] if given else _delimiter(text)
        return cls(text, encoding, delimiter, int(given is not None))

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield the first and the last line of each row, and the number of its cells.

        Lines are those of the file, from 1, and the first row has the names of the columns.
        """
        reader = csv.reader(io.StringIO(self.text), delimiter=self.delimiter)
        before = 0
        for row in reader:
            if row:
                yield before + 1 + self.skipped, reader.line_num + self.skipped, len(row)
            before = reader.line_num

    def first_problem(self, columns: int) -> str | None:
        """Return what is wrong with the first row that has not as many cells as the header."""
        try:
            wrong = next((row for row in self.rows() if row[2] != columns), None)
        except csv.Error:
            return None
        if wrong is None:
            return None
        first, last, cells = wrong
        named = _counted(columns, "column")
        problem = f"line {first:,} has {_counted(cells, 'cell')}, and the header {named}"
        return f"{problem}; a quotation mark in it is not closed" if last > first else problem


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _in_arrow(text: str) -> pa.Buffer:
    """Copy text to memory that Arrow owns.

    A thread of Arrow that releases Python's memory while Python exits aborts the process.
    """
    stream = pa.BufferOutputStream()
    stream.write(text.encode())
    return stream.getvalue()


def _decode(data: bytes) -> tuple[str, str]:
    """Return the text and the name of its encoding.

    Raises:
        pyarrow.ArrowInvalid: It is not text.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            return text, "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
    if b"\0" in data[:_SAMPLE_BYTES]:
        return data.decode(_utf16_without_mark(data[:_SAMPLE_BYTES]), "replace"), "UTF-16"
    try:
        return data.decode(), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "Windows-1252"


def _utf16_without_mark(sample: bytes) -> str:
    """Return the order of bytes, by which of each two is mostly zero in the letters of a header."""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if min(first, second) * 4 > max(first, second) or max(first, second) * 4 < len(sample):
        raise pa.ArrowInvalid("it is not text; save it as CSV (UTF-8)")
    return "utf-16-be" if first > second else "utf-16-le"


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the first lines into the most columns."""
    lines = [line for line in text[:65536].splitlines() if line.strip()][:_SAMPLE_LINES]
    columns = {delimiter: _columns(lines, delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=columns.__getitem__)


def _columns(lines: list[str], delimiter: str) -> tuple[bool, int]:
    """Return whether the delimiter splits all lines alike, and into how many columns the first."""
    try:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return False, 0
    first = counts[0] if counts else 0
    return first > 1 and len(set(counts)) == 1, first
