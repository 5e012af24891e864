"""What the cells of a table say about the labels of an image: one label, a list, or one value each.

Several labels of an image become one text, see `labels.write_labels`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from headstart.data.labels import SEPARATOR, cell_text, normalised, write_labels
from headstart.errors import DataError
from headstart.options import UncertainOption

TRUE, FALSE = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f")
"""How people write yes and no, in lower case."""

_VALUES = {"unknown": None, "present": True, "absent": False}


class LabelCells(Protocol):
    """Reads the label of an image from its row of a table."""

    def read(self, number: int, row: Mapping[str, object]) -> tuple[str | None, str | None]:
        """Return the label, and the problem with it if there is one.

        Args:
            number: The number of the row, from 0.
            row: Its cells, by the names of their columns.

        Raises:
            DataError: A cell shows that the column was not meant to be read like this.
        """
        ...


@dataclass(frozen=True)
class OneLabel:
    """One label per image.

    Attributes:
        column: The column.
        class_names: The names of the classes, if labels may be their numbers.
    """

    column: str
    class_names: Sequence[str] | None = None

    def read(self, number: int, row: Mapping[str, object]) -> tuple[str | None, str | None]:
        """See `LabelCells.read`. A missing label is a problem."""
        label, problem = _class_name(row[self.column], self.class_names)
        if label is None and problem is None:
            return None, "its label is missing"
        return label, problem


@dataclass(frozen=True)
class LabelList:
    """Any number of labels in a cell: a list, or text with separators. No label is also a cell.

    Attributes:
        table: The path of the table, for error messages.
        column: The column.
        separator: What separates the labels in a text; None if cells are lists.
        class_names: The names of the classes, if labels may be their numbers.
    """

    table: Path
    column: str
    separator: str | None = SEPARATOR
    class_names: Sequence[str] | None = None

    @property
    def is_text(self) -> bool:
        """Whether cells are text, not lists."""
        return self.separator is not None

    def read(self, number: int, row: Mapping[str, object]) -> tuple[str | None, str | None]:
        """See `LabelCells.read`."""
        cell = row[self.column]
        parts = cell if isinstance(cell, list) else self._split(number, cell)
        found = [_class_name(part, self.class_names) for part in parts]
        problem = next((problem for _, problem in found if problem), None)
        names = [name for name, _ in found if name is not None]
        if self.class_names is None and any(isinstance(part, int) for part in parts):
            self._check_not_values(number, names)
        return (None, problem) if problem else (write_labels(dict.fromkeys(names, True)), None)

    def _split(self, number: int, cell: object) -> Sequence[object]:
        if self.separator is None or not isinstance(cell, str):
            return [cell]
        if cell.strip().startswith("[") and cell.strip().endswith("]"):
            raise DataError(
                f"The labels {cell} in row {number + 1} of '{self.table}' are written as a list of "
                f"Python. Write them as a{self.separator}b."
            )
        return cell.split(self.separator)

    def _check_not_values(self, number: int, names: Sequence[str]) -> None:
        """Refuse lists of numbers that do not name labels but say which are present."""
        if len(set(names)) < len(names):
            raise DataError(
                f"The list in '{self.column}' in row {number + 1} of '{self.table}' has the same "
                "number twice. It must have the labels of the image. If it has a value for each "
                "label, write each into a column of its own and pass --labels."
            )


@dataclass
class LabelColumns:
    """A column for each label.

    Attributes:
        table: The path of the table, for error messages.
        columns: The columns, whose names are those of the labels.
        uncertain: What -1 means.
        unknown: Labels without a column.
        uncertain_cells: The number of cells with -1 that were read.
    """

    table: Path
    columns: Sequence[str]
    uncertain: UncertainOption = "unknown"
    unknown: list[str] = field(default_factory=list)
    uncertain_cells: int = 0

    def read(self, number: int, row: Mapping[str, object]) -> tuple[str | None, str | None]:
        """See `LabelCells.read`. The label of a blank cell is unknown."""
        labels: dict[str, bool | None] = dict.fromkeys(self.unknown)
        for column in self.columns:
            labels[normalised(column)] = self._value(number, column, row[column])
        return write_labels(labels), None

    def _value(self, number: int, column: str, cell: object) -> bool | None:
        meaning = _meaning(cell)
        if meaning == "uncertain":
            self.uncertain_cells += 1
            meaning = self.uncertain
        if meaning == "":
            raise DataError(
                f"The value '{cell}' of '{column}' in row {number + 1} of '{self.table}' is not "
                "understood. Use 1 or yes (present), 0 or no (absent), blank (unknown) or -1 "
                "(uncertain), or name the columns of the labels with --labels."
            )
        return _VALUES[meaning]


@lru_cache(1024)
def _meaning(cell: object) -> str:
    """Return the meaning of a cell in the column of a label; "" if it has none."""
    if (text := cell_text(cell)) is None:
        return "unknown"
    value = re.sub(r"\.0*$", "", text.lower())
    if value == "-1":
        return "uncertain"
    return "present" if value in TRUE else "absent" if value in FALSE else ""


def is_list(kind: pa.DataType) -> bool:
    """Return whether the cells of a column are lists of labels: of text or of whole numbers."""
    types = pa.types
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_dictionary)
    return types.is_null(inner) or any(test(inner) for test in tests)


def class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Read the names of a Hugging Face ClassLabel column, whose cells or lists are numbers."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = info["info"]["features"][column]
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = feature["names"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return [normalised(str(name)) for name in names] if isinstance(names, list) else None


def _class_name(cell: object, names: Sequence[str] | None) -> tuple[str | None, str | None]:
    """Return the name of a label, or the problem with it; both are None if there is no label."""
    label = cell_text(cell)
    if label is None or names is None or (isinstance(cell, str) and label in names):
        return label, None
    if label.isdigit() and int(label) < len(names):
        return names[int(label)], None
    return None, f"its label {label} is not one of the table's classes"
