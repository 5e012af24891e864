"""What the cells of a table say about the boxes of an image: one box, or a list of all."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from headstart.data.boxes.box_columns import BoxColumns, ObjectColumn
from headstart.data.boxes.labels import LabelledBox, class_name
from headstart.data.boxes.numbers import number, size_of
from headstart.data.columns import Columns
from headstart.data.label_cells import TRUE
from headstart.data.labels import cell_text, normalised

_NO_COORDINATES = "Rows with a label but without coordinates, of which no box is read"
_NO_LABEL = "Boxes without a label, left out"
_UNKNOWN = "Boxes of a category that the table does not name, left out"
_NO_FOUR_NUMBERS = "Boxes that do not have four numbers, left out"

Row = Mapping[str, object]
"""The cells of a row, by the names of their columns."""


@dataclass(frozen=True)
class BoxCells:
    """The cells of one box.

    Attributes:
        columns: The columns.
        label: The column of the label.
    """

    columns: BoxColumns
    label: str

    def read(self, row: Row) -> tuple[Sequence[LabelledBox], Sequence[str]]:
        """Return the box of a row, and the problem with it if there is one, as `Tally` counts it.

        A row without coordinates and label is an image without boxes.
        """
        cells = [cell_text(row[name]) for name in self.columns.corners]
        label = cell_text(row[self.label])
        if not any(cells):
            return (), (_NO_COORDINATES,) if label else ()
        if label is None:
            return (), (_NO_LABEL,)
        crowd = self.columns.crowd
        is_crowd = crowd is not None and (cell_text(row[crowd]) or "").lower() in TRUE
        x1, y1, x2, y2 = map(number, cells)
        corners = (x1, y1, x1 + x2, y1 + y2) if self.columns.is_sized else (x1, y1, x2, y2)
        return (LabelledBox.of(class_name(label), corners, crowd=is_crowd),), ()

    def size(self, row: Row) -> tuple[float, float] | None:
        """Return the width and height that a row says its image has."""
        return _size(row, self.columns.size)


@dataclass(frozen=True)
class ObjectCells:
    """The cell of all boxes of an image.

    Attributes:
        column: The column.
        names: The names of the classes, if labels may be their numbers.
    """

    column: ObjectColumn
    names: Sequence[str] | None

    def read(self, row: Row) -> tuple[Sequence[LabelledBox], Sequence[str]]:
        """Return the boxes of a row, and the problems with others, as `Tally` counts them."""
        boxes: list[LabelledBox] = []
        problems: list[str] = []
        for box, category in self._items(row[self.column.name]):
            label = self._label(category)
            if label is None:
                problems.append(_UNKNOWN if cell_text(category) else _NO_LABEL)
                continue
            if not isinstance(box, (list, tuple)) or len(box) != 4:
                problems.append(_NO_FOUR_NUMBERS)
                continue
            left, top, width, height = map(number, box)
            boxes.append(LabelledBox(label, left, top, left + width, top + height))
        return boxes, problems

    def size(self, row: Row) -> tuple[float, float] | None:
        """Return the width and height that a row says its image has."""
        return _size(row, self.column.size)

    def _items(self, cell: object) -> Iterator[tuple[object, object]]:
        """Yield each box with its category, from a list of structs or a struct of lists."""
        if isinstance(cell, Mapping):
            boxes = cell.get(self.column.box) or ()
            yield from zip(boxes, cell.get(self.column.category) or (), strict=False)
        for item in cell if isinstance(cell, list) else ():
            yield item.get(self.column.box), item.get(self.column.category)

    def _label(self, category: object) -> str | None:
        text = cell_text(category)
        if text is None or self.names is None or text in self.names:
            return text
        return self.names[int(text)] if text.isdigit() and int(text) < len(self.names) else None


def box_cells(
    schema: pa.Schema, boxes: BoxColumns | ObjectColumn, columns: Columns
) -> BoxCells | ObjectCells:
    """Return what reads the boxes of a table's rows."""
    if isinstance(boxes, BoxColumns):
        return BoxCells(boxes, columns.labels[0])
    return ObjectCells(boxes, _names_of(schema, boxes))


def _size(row: Row, columns: tuple[str, str] | None) -> tuple[float, float] | None:
    return size_of(row[columns[0]], row[columns[1]]) if columns else None


def _names_of(schema: pa.Schema, column: ObjectColumn) -> list[str] | None:
    """Return the names of the classes in Hugging Face's description of a column."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = info["info"]["features"][column.name]
    except (ValueError, LookupError, TypeError):
        return None
    names = _within(_within(feature, column.category), "names")
    return [normalised(str(name)) for name in names] if isinstance(names, list) else None


def _within(feature: object, key: str) -> object:
    """Return the value of a key in a description, inside lists and their `feature`."""
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and key in feature:
            return feature[key]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
        else:
            return None
