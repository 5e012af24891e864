"""Tables with boxes: a row for each box, or a row for each image with a list of its boxes."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from headstart.data.boxes.annotations import BoxedImage, BoxSet, joined
from headstart.data.boxes.box_columns import (
    BoxColumns,
    ObjectColumn,
    find_box_columns,
    find_objects,
    missing_box_columns,
)
from headstart.data.boxes.cells import BoxCells, ObjectCells, Row, box_cells
from headstart.data.boxes.folder_files import IMAGE_FOLDERS, FolderFiles
from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.part_names import part_of_name
from headstart.data.boxes.tally import Tally
from headstart.data.columns import Columns, choose_columns, choose_image_column
from headstart.data.formats import TABLE_SUFFIXES
from headstart.data.image_cells import ImageCells
from headstart.data.inputs import ListedImage
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.labels import cell_text
from headstart.data.paths import list_names
from headstart.data.slicing import write_slices
from headstart.data.table_files import Table, open_table, unreadable_table
from headstart.errors import DataError
from headstart.watching import Watcher

_HEAD = 65536
_SEPARATORS = re.compile(r'[,;\t|"]+')

# What to ask if many boxes leave their images, and if many end before they begin.
_IF_CORNERS = (
    "are they for images of another size?",
    "are their columns swapped, or are these x, y, width and height?",
)
_IF_SIZED = (
    "are x and y the centre of the box, or are these x1, y1, x2 and y2?",
    "are widths and heights negative?",
)

_Images = list[tuple[str, str, str | None]]


def box_columns_of(schema: pa.Schema) -> BoxColumns | ObjectColumn | None:
    """Return the columns of a table that have boxes; None if it has none."""
    return find_objects(schema) or find_box_columns(schema.names)


@dataclass(frozen=True)
class BoxTables:
    """The tables of a folder that have columns of boxes.

    Attributes:
        found: Those that are read. If some are named after the parts of a split, only these.
        unreadable: Why others that name columns of boxes cannot be read.
    """

    found: Sequence[Path]
    unreadable: Mapping[Path, str]

    @classmethod
    def of(cls, files: FolderFiles) -> "BoxTables":
        """Find the tables of a folder; rows are read only of those that may have boxes."""
        found: list[Path] = []
        unreadable: dict[Path, str] = {}
        for file in files.with_suffix(*TABLE_SUFFIXES):
            if file.suffix.lower() in (".csv", ".tsv") and not may_have_boxes(file):
                continue
            try:
                if box_columns_of(open_table(file).schema):
                    found.append(file)
            except DataError as error:
                if may_have_boxes(file):
                    unreadable[file] = reason_in(error)
        return cls([file for file in found if part_of_name(file.stem)] or found, unreadable)


def reason_in(error: DataError) -> str:
    """Return why a table cannot be read, without its name."""
    return str(error).rpartition("cannot be read: ")[2].rstrip(".")


def may_have_boxes(file: Path) -> bool:
    """Return whether the first lines of a CSV file name columns of boxes, also if not all."""
    if file.suffix.lower() not in (".csv", ".tsv"):
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).replace(b"\0", b"").decode("latin-1").splitlines()
    except OSError:
        return False
    rows = [_SEPARATORS.split(line) for line in head[:2]]
    return any(find_box_columns(names) or missing_box_columns(names) for names in rows)


def read_box_tables(
    tables: Sequence[Path],
    files: FolderFiles,
    staging: Path,
    interpretation: Interpretation,
) -> BoxSet:
    """Read the tables of a folder: the only one, or one for each part of a split.

    Raises:
        DataError: There are several that are not parts of a split, or see `read_box_table`.
    """
    parts = {table: part_of_name(table.stem) for table in tables}
    if len(tables) > 1 and not all(parts.values()):
        names = list_names([files.name(table) for table in tables])
        raise DataError(f"'{files.root}' has several tables with boxes: {names}. Pass one of them.")
    sets = [
        read_box_table(table, open_table(table), staging, interpretation, files=files)
        for table in tables
    ]
    if len(tables) == 1:
        return replace(sets[0], understood=(_named(tables, files), *sets[0].understood))
    images: dict[str, BoxedImage] = {}
    for (table, part), one in zip(parts.items(), sets, strict=True):
        for image in one.images:
            if image.split:
                raise DataError(
                    f"It is unclear whether the split of '{table}' is in its name or in its "
                    "column. Remove the column, or pass a table with the images of all parts."
                )
            image = replace(image, split=part)
            first = images.setdefault(image.path, image)
            images[image.path] = image if first is image else joined(first, image)
    understood = dict.fromkeys(text for one in sets for text in one.understood)
    warnings = dict.fromkeys(text for one in sets for text in one.warnings)
    named = [f"'{files.name(table)}' ({part})" for table, part in parts.items()]
    return BoxSet(
        list(images.values()),
        f"the tables {list_names([files.name(table) for table in tables])}",
        len(images),
        (f"Split: the tables {', '.join(named)}.", *understood),
        tuple(warnings),
        next((one.guessed_group for one in sets if one.guessed_group), None),
        if_leaving=sets[0].if_leaving,
        if_backward=sets[0].if_backward,
    )


def _named(tables: Sequence[Path], files: FolderFiles) -> str:
    return f"The table is '{files.name(tables[0])}'."


def read_box_table(
    path: Path,
    table: Table,
    staging: Path,
    interpretation: Interpretation,
    *,
    files: FolderFiles | None = None,
    base: str | None = None,
) -> BoxSet:
    """Read the boxes of a table.

    There is a row for each box, or for an image without boxes, whose cells of the box are empty. Or
    there is a row for each image, with its boxes as x, y, width and height in a column such as
    `objects`, as Hugging Face has them.

    Args:
        path: The table.
        table: The same, open.
        staging: Folder for embedded images.
        interpretation: The columns of the groups, and those by which results are sliced.
        files: The files among which images are looked for if they are not at their paths.
        base: See `ImageCells.of`.

    Raises:
        DataError: A column is missing or cannot be understood, or the table has no rows.
        OptionError: The group or a slice is not a column.
    """
    boxes = box_columns_of(table.schema)
    if boxes is None:
        raise DataError(
            f"Table '{path}' has no columns of boxes{_lacking(table.schema.names)}. It needs x1, "
            "y1, x2 and y2; xmin, ymin, xmax and ymax; or x, y, w and h."
        )
    columns = choose_columns(
        path,
        [name for name in table.schema.names if name not in boxes.all],
        replace(interpretation, labelling=Labelling("single")),
        values=cache(table.values),
        label=boxes.name if isinstance(boxes, ObjectColumn) else None,
    )
    kind = table.schema.field(columns.image).type
    reader = _Reader(path, columns, box_cells(table.schema, boxes, columns), table.place)
    find = _finder(path, ImageCells.of(path, kind, staging, base), files or _beside(path))
    rows = 0
    try:
        for batch in table.batches(list(dict.fromkeys([*columns.used, *boxes.all]))):
            for row in batch.to_pylist():
                reader.add(rows, row, find(rows, row[columns.image]))
                rows += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable_table(path, error) from None
    if not rows:
        raise DataError(f"Table '{path}' has no rows below the names of its columns.")
    images = reader.images
    has_split = any(image.split for image in images)
    return BoxSet(
        images,
        f"the table '{path.name}'",
        len(images),
        _understood(columns, boxes, table.note, has_split=has_split),
        reader.tally.sentences(),
        columns.guessed_group,
        *(_IF_SIZED if isinstance(boxes, BoxColumns) and boxes.is_sized else _IF_CORNERS),
    )


def listed_images(
    path: Path, table: Table, staging: Path, watcher: Watcher, base: str | None = None
) -> Iterator[ListedImage]:
    """Yield each image of a table with a row for each box once; its boxes are not read.

    Args:
        path: The table.
        table: The same, open.
        staging: Folder for embedded images.
        watcher: Receives a note if there are fewer images than rows.
        base: See `ImageCells.of`.

    Raises:
        DataError: There is no column of images, or the table has no rows.
    """
    column = choose_image_column(path, table.schema.names)
    kind = table.schema.field(column).type
    find = _finder(path, ImageCells.of(path, kind, staging, base), _beside(path))
    known: set[str] = set()
    rows = 0
    try:
        for batch in table.batches([column]):
            for cell in batch.column(0).to_pylist():
                for found in find(rows, cell):
                    image = ListedImage(*found)
                    if (key := image.path or image.name) not in known:
                        known.add(key)
                        yield image
                rows += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable_table(path, error) from None
    if not rows:
        raise DataError(f"Table '{path}' has no rows below the names of its columns.")
    if rows > len(known):
        images = "1 image" if len(known) == 1 else f"{len(known):,} images"
        watcher.note(
            f"'{path.name}' has {rows:,} rows of boxes for {images}; each image is predicted once."
        )


def _lacking(names: Sequence[str]) -> str:
    found = missing_box_columns(names)
    return f": {list_names(found[0])}, but not {list_names(found[1])}" if found else ""


def _beside(table: Path) -> FolderFiles:
    """Return the images in folders of the usual names, in a table's folder and beside it."""
    around = (table.parent, table.resolve().parent.parent)
    folders = dict.fromkeys(folder / name for folder in around for name in IMAGE_FOLDERS)
    found = [FolderFiles.of(folder).images for folder in folders if folder.is_dir()]
    return FolderFiles(around[1], tuple(image for images in found for image in images), ())


def _finder(path: Path, cells: ImageCells, files: FolderFiles) -> Callable[[int, object], _Images]:
    """Return what finds the images of a cell; each path is looked for only once."""
    known: dict[str, _Images] = {}

    def look(row: int, cell: str) -> _Images:
        found = cells.find(row, cell)
        if not all((one[2] or "").endswith("does not exist") for one in found):
            return found
        file, problem = files.find(cell.strip(), path.parent, part_of_name(path.stem))
        return found if problem else [(files.name(file), str(file), None)]

    def find(row: int, cell: object) -> _Images:
        if not isinstance(cell, str) or not cell.strip():
            return cells.find(row, cell)
        if cell not in known:
            known[cell] = look(row, cell)
        return known[cell]

    return find


def _understood(
    columns: Columns, boxes: BoxColumns | ObjectColumn, note: str, *, has_split: bool
) -> tuple[str, ...]:
    taken = [f"images from '{columns.image}'"]
    if isinstance(boxes, BoxColumns):
        how = " (left, top, width and height)" if boxes.is_sized else ""
        taken += [
            f"boxes from {list_names(boxes.corners)}{how}",
            f"labels from '{columns.labels[0]}'",
        ]
    else:
        taken.append(f"boxes from '{boxes.name}'")
    taken += [f"split from {list_names(list(columns.split))}"] if has_split else []
    taken += [f"groups from '{columns.group}'"] if columns.group else []
    taken += [f"slices from {list_names(columns.slices)}"] if columns.slices else []
    sentences = [f"Columns: {', '.join(taken)}."]
    if columns.split and not has_split:
        sentences.append(f"Empty columns: {', '.join(columns.split)}.")
    if columns.unused:
        sentences.append(f"Unused columns: {', '.join(columns.unused)}.")
    return (*sentences, f"The table is {note}.") if note else tuple(sentences)


@dataclass
class _Reader:
    """Joins the rows of each image.

    Attributes:
        table: The path of the table.
        columns: The meaning of its columns, but for those of the boxes.
        boxes: Reads the boxes of a row.
        place: Returns where a row is in the file.
        tally: Counts what is left out.
        found: The images so far, without their boxes, by the path of their file, or by their row
            without one.
        boxes_of: The boxes of each.
    """

    table: Path
    columns: Columns
    boxes: BoxCells | ObjectCells
    place: Callable[[int], str]
    tally: Tally = field(default_factory=Tally)
    found: dict[str, BoxedImage] = field(default_factory=dict)
    boxes_of: dict[str, list[LabelledBox]] = field(default_factory=dict)

    @property
    def images(self) -> list[BoxedImage]:
        """The images of all rows so far."""
        return [replace(one, boxes=self.boxes_of[key]) for key, one in self.found.items()]

    def add(self, number: int, row: Row, found: _Images) -> None:
        """Add a row.

        Raises:
            DataError: Its split is not understood.
        """
        try:
            split = self.columns.split_of(row)
        except ValueError as error:
            raise DataError(
                f"The split in {self.place(number)} of '{self.table}' is not understood: {error}. "
                "Correct it, or remove the column."
            ) from None
        boxes, problems = self.boxes.read(row)
        for kind, count in Counter(problems).items():
            for name, _, _ in found:
                self.tally.add(kind, f"{name} in {self.place(number)}", count)
        guess, group = self.columns.guessed_group, self.columns.group
        for name, path, missing in found:
            image = BoxedImage(
                *(name, path, (), self.boxes.size(row)),
                split=split,
                group=cell_text(row[group]) if group else None,
                rejected=missing,
                slices=self._slices(row),
                guessed_group=cell_text(row[guess]) if guess else None,
            )
            first = self.found.setdefault(path or name, image)
            if first is not image:
                self.found[path or name] = joined(first, image)
            self.boxes_of.setdefault(path or name, []).extend(boxes)

    def _slices(self, row: Row) -> str | None:
        if not self.columns.slices:
            return None
        return write_slices({name: cell_text(row[name]) or "" for name in self.columns.slices})
