"""List the images of a table of paths or embedded images: CSV, Parquet or JSON lines."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from headstart.data.boxes.sources import box_source
from headstart.data.boxes.tables import box_columns_of, read_box_table
from headstart.data.columns import Columns, choose_columns
from headstart.data.image_cells import ImageCells
from headstart.data.interpretation import Interpretation
from headstart.data.label_cells import (
    LabelCells,
    LabelColumns,
    LabelList,
    OneLabel,
    class_names,
    is_list,
)
from headstart.data.labelling import Labelling
from headstart.data.labels import SEPARATOR, cell_text, normalised
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.merging import merge_rows
from headstart.data.path_groups import grouped_by_path
from headstart.data.paths import data_name, list_names
from headstart.data.separators import separator_warnings
from headstart.data.slicing import write_slices
from headstart.data.table_files import Table, open_table, unreadable_table
from headstart.errors import DataError


def read_table(
    path: Path, staging: Path, interpretation: Interpretation, base: str | None = None
) -> Source:
    """Read a table of images: paths or embedded images, labels, and optional splits and groups.

    A table with columns of boxes is read as such, unless the user wants labels.

    Columns are found by their usual names, see `columns.choose_columns`. Embedded images are bytes
    or, as Hugging Face exports them, a struct of `bytes` and `path`. Bytes are written to `staging`
    once, so that memory does not grow with their number. Paths are relative to the table's folder.

    Args:
        path: The table.
        staging: Folder for embedded images.
        interpretation: How the table is to be understood.
        base: The folder that paths are relative to, or its URL; by default, the table's own.

    Raises:
        DataError: The file cannot be parsed, or a column is missing or cannot be understood.
        OptionError: The group, a slice or a column of the labels is not a column, or an option has
            no effect.
    """
    group, labelling = interpretation.group, interpretation.labelling
    table = open_table(path)
    labels_wanted = labelling.task != "auto" or labelling.labels is not None
    if labelling.task == "boxes" or (not labels_wanted and box_columns_of(table.schema)):
        labelling.check("for boxes")
        return _with_boxes(path, table, staging, interpretation, base)
    names, values = table.schema.names, cache(table.values)
    columns = choose_columns(path, names, interpretation, values=values)
    labels = _label_cells(path, table.schema, columns, labelling)
    kind = table.schema.field(columns.image).type
    reader = _Reader(path, columns, labels, ImageCells.of(path, kind, staging, base), table.place)
    entries: list[Entry] = []
    number = 0
    try:
        for batch in table.batches(columns.used):
            for row in batch.to_pylist():
                entries.extend(reader.entries(number, row))
                number += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable_table(path, error) from None
    if not entries:
        raise DataError(f"Table '{path}' has no rows below the names of its columns.")
    has_split = any(entry.split for entry in entries)
    understood = _understood(columns, table.note, has_split=has_split)
    source = Source(
        *(data_name(path), _relative_names(entries), understood),
        guessed_group=columns.guessed_group,
    )
    if group and columns.group is None:
        source = grouped_by_path(source, group)
    if isinstance(labels, OneLabel):
        return _with_one_label(source, path, columns, labelling)
    return _with_several(source, columns, labels, labelling)


def other_columns(path: Path, group: str | None = None) -> tuple[str, ...]:
    """Return the columns of a table of labelled images that are used for nothing, such as a price.

    Args:
        path: The table.
        group: The column of the groups, or a regular expression on the path.

    Raises:
        DataError: The file cannot be parsed, or a column is missing or cannot be understood.
    """
    table = open_table(path)
    names, values = table.schema.names, cache(table.values)
    return choose_columns(path, names, Interpretation(group=group), values=values).unused


def _with_boxes(
    path: Path, table: Table, staging: Path, interpretation: Interpretation, base: str | None
) -> Source:
    """Return the source of a table of boxes."""
    boxes = read_box_table(path, table, staging, interpretation, base=base)
    source = box_source(data_name(path), boxes)
    source = replace(source, entries=_relative_names(source.entries))
    by_column = any(entry.group for entry in source.entries)
    return source if by_column else grouped_by_path(source, interpretation.group)


def _label_cells(
    path: Path, schema: pa.Schema, columns: Columns, labelling: Labelling
) -> LabelCells:
    """Return what reads the labels.

    Raises:
        DataError: They have an unsuitable type, or several of them are in a cell for one.
        OptionError: An option has no effect.
    """
    if columns.one_each and labelling.task == "single":
        labelling.check("with one label per image")
    if columns.one_each:
        labelling.check("with a column for each label", ("labels", "uncertain"))
        missing = sorted(set(labelling.known) - set(map(normalised, columns.labels)))
        return LabelColumns(path, columns.labels, labelling.uncertain or "unknown", missing)
    (column,) = columns.labels
    kind, names = schema.field(column).type, class_names(schema, column)
    if pa.types.is_nested(kind) and not is_list(kind):
        raise DataError(
            f"The cells of '{column}' in '{path}' are of the type {kind}. They must be labels or "
            "lists of labels."
        )
    several = labelling.task == "multi" or is_list(kind) or (columns.is_plural and names is None)
    if labelling.task == "single" or not several:
        if is_list(kind):
            raise DataError(
                f"The column '{column}' of '{path}' has several labels in a cell. Each image must "
                "have exactly one label."
            )
        labelling.check("with one label per image")
        return OneLabel(column, names)
    if is_list(kind):
        labelling.check("for lists of labels")
        return LabelList(path, column, None, names)
    labelling.check("without --labels", ("label_separator",))
    return LabelList(path, column, labelling.label_separator or SEPARATOR, names)


def _with_one_label(source: Source, path: Path, columns: Columns, labelling: Labelling) -> Source:
    """Return a source of images with one label each, after looking for signs of several."""
    labels = (entry.label for entry in source.entries if columns.is_plural and entry.label)
    if several := next((label for label in labels if SEPARATOR in label), None):
        raise DataError(
            f"The column '{columns.labels[0]}' of '{path}' has several labels in a cell, such as "
            f"'{several}'. Pass --task multi."
        )
    warnings = tuple(_repeated(source.entries)) if labelling.task == "auto" else ()
    return replace(source, warnings=warnings)


def _with_several(
    source: Source, columns: Columns, labels: LabelCells, labelling: Labelling
) -> Source:
    """Return a source of images with several labels each."""
    if isinstance(labels, LabelList) and labels.is_text:
        is_long = labelling.task == "multi" and not columns.is_plural
        source = _merged(source) if is_long else source
    if isinstance(labels, LabelColumns) and labels.uncertain_cells:
        uncertain = f"Uncertain values: {labels.uncertain_cells:,}, taken as {labels.uncertain}."
        source = replace(source, understood=(*source.understood, uncertain))
    warnings = tuple(_label_warnings(source, columns, labels, labelling))
    return replace(source, warnings=warnings, several=list_names(columns.labels, 3))


def _repeated(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a sentence if images have rows with different labels, each in a row of its own."""
    labels: dict[str, set[str]] = {}
    for entry in entries:
        if entry.label and not entry.rejected:
            labels.setdefault(entry.path, set()).add(entry.label)
    if repeated := sum(len(found) > 1 for found in labels.values()):
        yield (
            f"Images with different labels in several rows: {repeated:,}. If an image may have "
            "several labels, pass --task multi."
        )


def _merged(source: Source) -> Source:
    """Merge the rows of each image of a table with a row for each label."""
    entries = merge_rows(source.entries)
    if len(entries) == len(source.entries):
        return source
    sentence = f"Rows: {len(source.entries):,}, for {len(entries):,} images."
    return replace(source, entries=entries, understood=(*source.understood, sentence))


def _label_warnings(
    source: Source, columns: Columns, labels: LabelCells, labelling: Labelling
) -> Iterator[str]:
    """Yield what may be a mistake in how several labels were read."""
    if isinstance(labels, LabelColumns) and labels.unknown:
        yield f"No column of {list_names(labels.unknown)}: unknown in every image."
    if isinstance(labels, LabelList) and labels.is_text:
        texts = [entry.label for entry in source.entries if entry.label]
        separator = labelling.label_separator
        yield from separator_warnings(labels.table, columns.labels[0], texts, separator)


def _understood(columns: Columns, note: str, *, has_split: bool) -> tuple[str, ...]:
    """Describe how the table was read."""
    taken = [f"images from '{columns.image}'", f"labels from {list_names(columns.labels, 3)}"]
    if has_split:
        taken.append(f"split from {list_names(list(columns.split))}")
    if columns.group:
        taken.append(f"groups from '{columns.group}'")
    if columns.slices:
        taken.append(f"slices from {list_names(columns.slices)}")
    sentences = [f"Columns: {', '.join(taken)}."]
    if columns.split and not has_split:
        sentences.append(f"Empty columns: {', '.join(columns.split)}.")
    if columns.unused:
        sentences.append(f"Unused columns: {', '.join(columns.unused)}.")
    return (*sentences, f"The table is {note}.") if note else tuple(sentences)


def _relative_names(entries: list[Entry]) -> list[Entry]:
    """Name images with absolute paths by their path relative to the common folder."""
    absolute = [entry.image for entry in entries if Path(entry.image).is_absolute()]
    if len(absolute) < 2 or len(absolute) < len(entries):
        return entries
    common = os.path.commonpath([str(Path(name).parent) for name in absolute])
    return [replace(entry, image=os.path.relpath(entry.image, common)) for entry in entries]


@dataclass(frozen=True)
class _Reader:
    """Makes entries of rows.

    Attributes:
        table: The path of the table.
        columns: The meaning of its columns.
        labels: Reads the labels.
        images: Finds the images.
        place: Returns where a row is in the file.
    """

    table: Path
    columns: Columns
    labels: LabelCells
    images: ImageCells
    place: Callable[[int], str]

    def entries(self, number: int, row: Mapping[str, object]) -> Iterator[Entry]:
        """Yield the entry of a row; one for each image if it names a study with several."""
        label, problem = self.labels.read(number, row)
        try:
            split = self.columns.split_of(row)
        except ValueError as error:
            raise DataError(
                f"The split in {self.place(number)} of '{self.table}' is not understood: {error}. "
                "Correct it, or remove the column."
            ) from None
        group = cell_text(row[self.columns.group]) if self.columns.group else None
        guess = self.columns.guessed_group
        for name, path, missing in self.images.find(number, row[self.columns.image]):
            yield Entry(
                *(name, path, label, split, group, problem or missing, self._slices(row)),
                guessed_group=cell_text(row[guess]) if guess else None,
            )

    def _slices(self, row: Mapping[str, object]) -> str | None:
        if not self.columns.slices:
            return None
        return write_slices({name: cell_text(row[name]) or "" for name in self.columns.slices})
