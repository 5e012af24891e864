"""Pairs of images that show the same item or not, in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.arrays import Flags, Rows
from headstart.data.columns import column_key
from headstart.data.formats import is_table
from headstart.data.labels import cell_text
from headstart.data.locating import Locator
from headstart.data.paths import existing_path
from headstart.data.table_files import Table, open_table
from headstart.errors import DataError, OptionError

_FIRST = ("path1", "image1", "first", "a", "file1")
_SECOND = ("path2", "image2", "second", "b", "file2")
_SAME, _FOLD = ("same", "issame", "match", "label"), ("fold",)
_YES = ("1", "true", "yes", "same", "t", "y")
_NO = ("0", "false", "no", "different", "f", "n")
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images.

    Attributes:
        images: Path of each image, once.
        first: The number of the first image of each pair, (pairs,).
        second: The number of the second one.
        same: Whether both show the same item.
        folds: The number of the fold of each pair, from 0; None if the table has no such column.
        slices: The values of each pair, by the name of the column.
    """

    images: tuple[str, ...]
    first: Rows
    second: Rows
    same: Flags
    folds: Rows | None
    slices: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.same)


def read_pairs(table: str | Path, *, slices: Sequence[str] = ()) -> Pairs:
    """Read pairs from a table with the columns `path1`, `path2` and `same`, and perhaps `fold`.

    Args:
        table: A CSV, TSV, Parquet or JSON lines file. Paths are relative to its folder.
        slices: Columns by which results are sliced.

    Raises:
        DataError: The table cannot be read or is empty, a column, a value or a file is missing, all
            pairs are of the same kind, or there is one fold.
        OptionError: There is no such column of slices.
    """
    path = existing_path(table)
    if not is_table(path):
        raise DataError(f"'{path}' is not a table of pairs: pass a CSV, TSV or Parquet file.")
    opened = open_table(path)
    columns = {
        name: _column(path, opened, known)
        for name, known in (("path1", _FIRST), ("path2", _SECOND), ("same", _SAME))
    }
    fold = _found(opened, _FOLD)
    _check_slices(path, opened, slices)
    values = {
        name: _cells(opened, name)
        for name in dict.fromkeys((*columns.values(), *((fold,) if fold else ()), *slices))
    }
    if not len(values[columns["same"]]):
        raise DataError(f"Table '{path}' has no pairs.")
    images, (first, second) = _located(path, values[columns["path1"]], values[columns["path2"]])
    same = _truths(path, columns["same"], values[columns["same"]])
    if same.all() or not same.any():
        kind = "the same item" if same.all() else "different items"
        raise DataError(
            f"All pairs of '{path}' show {kind}. Both kinds are needed to tell one from the other."
        )
    folds = _folds(path, fold, values[fold], same) if fold else None
    sliced = {name: [value or "" for value in values[name]] for name in slices}
    return Pairs(images, first, second, same, folds, sliced)


def _found(table: Table, known: Sequence[str]) -> str | None:
    by_key = {column_key(name): name for name in reversed(table.schema.names)}
    return next((by_key[key] for key in known if key in by_key), None)


def _column(path: Path, table: Table, known: Sequence[str]) -> str:
    if (found := _found(table, known)) is None:
        raise DataError(
            f"Table '{path}' has no column '{known[0]}'. It has: {', '.join(table.schema.names)}. "
            "A table of pairs has the columns path1, path2 and same (1 or 0), and perhaps fold."
        )
    return found


def _cells(table: Table, column: str) -> list[str | None]:
    return [
        cell_text(cell) for batch in table.batches([column]) for cell in batch.column(0).to_pylist()
    ]


def _located(
    table: Path, *columns: Sequence[str | None]
) -> tuple[tuple[str, ...], tuple[Rows, ...]]:
    """Return the path of each image, and the numbers of the images of each column."""
    locator, problems = Locator(table.parent), dict[str, str]()
    numbers: dict[str, int] = {}
    paths: dict[str, int] = {}
    for column in columns:
        for line, text in enumerate(column, 2):
            if text is None:
                raise DataError(f"Line {line} of '{table}' has no path of an image.")
            if text not in numbers:
                path, problem = locator.find(text)
                if problem:
                    problems[text] = problem
                numbers[text] = paths.setdefault(path, len(paths))
    if problems:
        some = "; ".join(f"'{name}': {why}" for name, why in list(problems.items())[:_SHOWN])
        raise DataError(
            f"{len(problems):,} of the {len(numbers):,} images of '{table}' cannot be used: "
            f"{some}. Paths are relative to the folder of the table."
        )
    rows = tuple(np.array([numbers[text] for text in column if text]) for column in columns)
    return tuple(paths), rows


def _truths(table: Path, name: str, column: Sequence[str | None]) -> Flags:
    truths = []
    for line, text in enumerate(column, 2):
        if (text or "").lower() not in (*_YES, *_NO):
            raise DataError(
                f"Line {line} of '{table}' has '{text or ''}' as '{name}', which must be 1 for the "
                "same item or 0 for different ones."
            )
        truths.append((text or "").lower() in _YES)
    return np.array(truths)


def _folds(table: Path, name: str, column: Sequence[str | None], same: Flags) -> Rows:
    if None in column:
        raise DataError(f"Line {column.index(None) + 2} of '{table}' has no '{name}'.")
    numbers = np.unique(np.array(column, dtype=str), return_inverse=True)[1]
    if numbers.max() == 0:
        raise DataError(
            f"All pairs of '{table}' are in one fold. The threshold is learnt on the other folds, "
            f"so two are needed: leave the column '{name}' out, and folds are made."
        )
    for fold in range(numbers.max() + 1):
        if len(np.unique(same[numbers != fold])) < 2:
            raise DataError(
                f"Without fold '{np.unique(np.array(column, dtype=str))[fold]}' of '{table}', all "
                "pairs are of one kind, so no threshold can be learnt. Mix the folds."
            )
    return np.asarray(numbers)


def _check_slices(path: Path, table: Table, slices: Sequence[str]) -> None:
    if missing := [name for name in slices if name not in table.schema.names]:
        raise OptionError(
            f"--slices '{missing[0]}' is not a column of '{path}'. It has: "
            f"{', '.join(table.schema.names)}."
        )
