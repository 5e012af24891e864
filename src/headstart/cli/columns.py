"""A table that fits the terminal: texts that are too long are shortened in the middle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[Text]
"""The cells of a row, shown literally; there may be fewer cells than columns."""

_GAP = 3


@dataclass(frozen=True)
class _Column:
    """A column: its name, which ends in ">" if it is right-aligned, and its cells."""

    name: str
    cells: tuple[Text, ...]

    @property
    def header(self) -> str:
        return self.name.removesuffix(">")

    @property
    def right(self) -> bool:
        return self.name.endswith(">")

    @property
    def width(self) -> int:
        """The width in cells of the terminal if nothing is shortened."""
        return max(cell_len(self.header), *(cell_len(cell.plain) for cell in self.cells), 0)


def print_table(
    console: Console, names: Sequence[str], rows: Iterable[Row], *, optional: Sequence[str] = ()
) -> None:
    """Print a table in the width of the console, one line per row.

    Args:
        console: Where to print.
        names: Names of the columns. A column whose name ends in ">" is right-aligned and is not
            shortened.
        rows: The cells.
        optional: Names of columns to leave out, one after the other, while the table does not fit.
    """
    columns = _columns(names, rows)
    for name in optional:
        if sum(column.width for column in columns) > _available(console, columns):
            columns = [column for column in columns if column.name != name]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.header, justify="right" if column.right else "left", no_wrap=True)
    limits = _limits(columns, _available(console, columns))
    for line in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(_fitted, line, limits))
    console.print(table)


def print_line(console: Console, text: str) -> None:
    """Print a line literally: without markup, highlighting or wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def shorten(text: str, width: int) -> str:
    """Shorten a text to a number of cells of the terminal, with an ellipsis in the middle."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    start, end = set_cell_size(text, width - 1 - tail), set_cell_size(text[::-1], tail)[::-1]
    return f"{start}…{end}"


def _columns(names: Sequence[str], rows: Iterable[Row]) -> list[_Column]:
    empty = [Text()] * len(names)
    lines = [[*map(_on_one_line, row), *empty[len(row) :]] for row in rows]
    return [
        _Column(name, tuple(line[number] for line in lines)) for number, name in enumerate(names)
    ]


def _available(console: Console, columns: Sequence[_Column]) -> int:
    """Return the cells for the columns of a table, which has gaps and an edge on each side."""
    return console.width - _GAP * (len(columns) - 1) - 2


def _limits(columns: Sequence[_Column], available: int) -> list[int]:
    """Share the available width: narrow columns are shown whole, wide texts get equal parts."""
    limits = [column.width for column in columns]
    texts = [number for number, column in enumerate(columns) if not column.right]
    available -= sum(limits) - sum(limits[number] for number in texts)
    for rank, number in enumerate(sorted(texts, key=lambda number: limits[number])):
        limits[number] = min(limits[number], max(1, available // (len(texts) - rank)))
        available -= limits[number]
    return limits


def _on_one_line(cell: Text) -> Text:
    return Text(cell.plain.replace("\n", "\\n").replace("\r", "\\r"), cell.style)


def _fitted(cell: Text, width: int) -> Text:
    return Text(shorten(cell.plain, width), cell.style)
