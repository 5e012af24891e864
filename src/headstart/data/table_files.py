"""Open a table: CSV, Parquet or JSON lines, read in batches of rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headstart.data.delimited import lines_of_rows, read_delimited
from headstart.data.json_lines import lines_of_objects, read_json_lines
from headstart.data.labels import cell_text
from headstart.errors import DataError

_ROWS = 256
# A column with more different values is not a split.
_MAX_PARTS = 12

_Batches = Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
"""Reads the given columns in batches."""


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes:
        schema: Its columns.
        batches: Reads columns.
        note: How it was read, if that is not the usual way.
        lines: Returns the line of the file in which each row begins; None if it has no lines.
    """

    schema: pa.Schema
    batches: _Batches
    note: str = ""
    lines: Callable[[], Sequence[int]] | None = None

    def place(self, row: int) -> str:
        """Return where a row is, such as "line 3" of a CSV file.

        Args:
            row: Its number, from 0.
        """
        return f"line {self.lines()[row]:,}" if self.lines else f"row {row + 1:,}"

    def values(self, column: str) -> list[str]:
        """Return the different values of a column as text, or nothing if there are many."""
        if not column:  # Several may have no name.
            return []
        kind = self.schema.field(column).type
        if pa.types.is_nested(kind) or is_embedded(kind):
            return []
        found: set[str] = set()
        for batch in self.batches([column]):
            try:
                cells = pc.unique(batch.column(0)).to_pylist()
            except pa.ArrowNotImplementedError:  # A rare type, which names no part.
                return []
            found.update(filter(None, map(cell_text, cells)))
            if len(found) > _MAX_PARTS:
                return []
        return sorted(found)


def open_table(path: Path) -> Table:
    """Open a table.

    Raises:
        DataError: It cannot be parsed.
    """
    try:
        if path.suffix.lower() == ".parquet":
            file = pq.ParquetFile(path)
            return Table(
                file.schema_arrow, lambda columns: file.iter_batches(_ROWS, columns=columns)
            )
        if path.suffix.lower() == ".jsonl":
            return _in_memory(read_json_lines(path), lines=lambda: lines_of_objects(path))
        read = read_delimited(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable_table(path, error) from None
    return _in_memory(read.table, read.note, lines=lambda: lines_of_rows(path))


def unreadable_table(path: Path, error: Exception) -> DataError:
    """Return the error for a table that cannot be read."""
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return DataError(f"Table '{path}' cannot be read: {reason.rstrip('.')}.")


def is_embedded(kind: pa.DataType) -> bool:
    """Return whether the cells of a column of this type are images rather than paths."""
    kinds = (pa.types.is_struct, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in kinds)


def _in_memory(table: pa.Table, note: str = "", *, lines: Callable[[], Sequence[int]]) -> Table:
    return Table(
        *(table.schema, lambda columns: table.select(columns).to_batches(_ROWS), note),
        lines=cache(lines),
    )
