"""Read files of JSON lines, one object for each row, such as Hugging Face's metadata.jsonl."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa


def read_json_lines(path: Path) -> pa.Table:
    """Read a file of JSON lines.

    Text stays text: unlike pyarrow's own reader, this one takes no text for a date.

    Returns:
        A table with a column for each key of any row; null where a row lacks it.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowInvalid: A line is not a JSON object, or a column has values of several kinds.
    """
    rows = [_object(number, line) for number, line in _lines(path)]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def lines_of_objects(path: Path) -> list[int]:
    """Return the line of each object, from 1; blank lines have none.

    Raises:
        OSError: The file cannot be read.
    """
    return [number for number, _ in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    lines = enumerate(path.read_bytes().splitlines(), 1)
    return ((number, line) for number, line in lines if line.strip())


def _object(number: int, line: bytes) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise pa.ArrowInvalid(f"line {number} is not a JSON object")
    return row


def _column(name: str, values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        raise pa.ArrowInvalid(f"the values of '{name}' are of several kinds") from None
