"""The columns of a table with boxes, by their usual names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa

from headstart.data.columns import column_key

# x1, y1, x2, y2 as they are called, without capitals, spaces and punctuation.
_CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("bboxx1", "bboxy1", "bboxx2", "bboxy2"),
    ("bboxxmin", "bboxymin", "bboxxmax", "bboxymax"),
)
# The left and the top edge with width and height, alike.
_SIZED = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("bboxx", "bboxy", "bboxw", "bboxh"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
)
_WIDTHS = ("width", "imagewidth", "imgwidth")
_HEIGHTS = ("height", "imageheight", "imgheight")
# So many columns of boxes are no coincidence.
_SOME_CORNERS, _SOME_SIZED = 2, 3
_CROWDS = ("iscrowd", "crowd", "isgroupof")
_OBJECTS = ("objects", "annotations", "boxes", "bboxes", "detections", "labels", "instances")
_BOXES = ("bbox", "bboxes", "box", "boxes")
_CATEGORIES = ("category", "categories", "label", "labels", "class", "classes", "categoryid")


@dataclass(frozen=True)
class BoxColumns:
    """The columns of one box in each row.

    Attributes:
        corners: The columns of x1, y1, x2, y2; or those of x, y, width and height.
        size: The columns of the image's width and height; None without them.
        crowd: The column that says whether a box is around a crowd; None without one.
        is_sized: Whether the columns are x, y, width and height.
    """

    corners: tuple[str, ...]
    size: tuple[str, str] | None = None
    crowd: str | None = None
    is_sized: bool = False

    @property
    def all(self) -> list[str]:
        """The names of all these columns."""
        return [*self.corners, *(self.size or ()), *([self.crowd] if self.crowd else [])]


@dataclass(frozen=True)
class ObjectColumn:
    """The column that has all boxes of an image.

    Attributes:
        name: Its name.
        box: The name of the boxes in it.
        category: The name of the labels in it.
        size: The columns of the image's width and height; None without them.
    """

    name: str
    box: str
    category: str
    size: tuple[str, str] | None = None

    @property
    def all(self) -> list[str]:
        """The names of all these columns."""
        return [self.name, *(self.size or ())]


def find_box_columns(names: Sequence[str]) -> BoxColumns | None:
    """Return the columns of boxes; None if there are none."""
    keys = {column_key(name): name for name in reversed(names)}
    known = next((one for one in _forms(keys) if all(key in keys for key in one)), None)
    if known is None:
        return None
    crowd = next((keys[key] for key in _CROWDS if key in keys), None)
    corners = tuple(keys[key] for key in known)
    size = _size([name for name in names if name not in corners])
    return BoxColumns(corners, size, crowd, known in _SIZED)


def missing_box_columns(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return the columns of boxes that a table has and those that it lacks.

    None if it has all, or too few for them to be meant as boxes.
    """
    keys = {column_key(name): name for name in reversed(names)}
    found = [
        ([keys[key] for key in known if key in keys], [key for key in known if key not in keys])
        for known in _forms(keys)
        if sum(key in keys for key in known) >= (_SOME_SIZED if known in _SIZED else _SOME_CORNERS)
    ]
    best = max(found, key=lambda one: len(one[0]), default=None)
    return best if best and best[1] else None


def _forms(keys: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the forms that a table may have.

    If it has a right or a lower edge, a width and a height beside it are those of the image.
    """
    has_end = any(key in keys for form in _CORNERS for key in form[2:])
    return _CORNERS if has_end else (*_CORNERS, *_SIZED)


def find_objects(schema: pa.Schema) -> ObjectColumn | None:
    """Return the column of a list of boxes, or of lists of them; None if there is none."""
    for column in schema:
        fields = _fields(column.type) if column_key(column.name) in _OBJECTS else {}
        box = next((name for key, name in fields.items() if key in _BOXES), None)
        category = next((fields[key] for key in _CATEGORIES if key in fields), None)
        if box and category:
            return ObjectColumn(column.name, box, category, _size(schema.names))
    return None


def _size(names: Sequence[str]) -> tuple[str, str] | None:
    keys = {column_key(name): name for name in reversed(names)}
    width = next((keys[key] for key in _WIDTHS if key in keys), None)
    height = next((keys[key] for key in _HEIGHTS if key in keys), None)
    return (width, height) if width and height else None


def _fields(kind: pa.DataType) -> dict[str, str]:
    """Return the names of the fields of a struct or of a list of structs, by their keys."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        return {}
    return {column_key(field.name): field.name for field in kind}
