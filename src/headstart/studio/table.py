"""The table of a project's labels, which `train` reads."""

import csv
import io
from collections.abc import Iterable, Iterator

from headstart.data.labels import SEPARATOR
from headstart.studio.acts import Kind
from headstart.studio.labels import Item

TABLE = "studio.csv"
"""Its name within the project's folder."""

_COLUMNS = {
    "single": ("path", "label"),
    "multi": ("path", "labels"),
    "boxes": ("path", "x1", "y1", "x2", "y2", "label"),
}
_OPTIONAL = ("split", "group")

LabelledItem = tuple[str, Item]
"""An image, by its path within the project, and what is said about it."""


def table_of(kind: Kind, items: Iterable[LabelledItem]) -> str:
    """Return a CSV table of the images that somebody has labelled and nobody has left out.

    Paths are relative to the folder of the project. An image with several labels has them in one
    cell. Boxes have a row each; an image without boxes has one with empty cells.

    Args:
        kind: What labels are.
        items: The images of a project.
    """
    used = [(name, item) for name, item in sorted(items) if is_used(item)]
    optional = [column for column in _OPTIONAL if any(getattr(item, column) for _, item in used)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS[kind], *optional])
    for name, item in used:
        values = [getattr(item, column) for column in optional]
        writer.writerows([name, *cells, *values] for cells in _cells(kind, item))
    return text.getvalue()


def is_used(item: Item) -> bool:
    """Return whether a model can learn from an image: it is labelled, and not left out."""
    return item.labels is not None and not item.dropped


def _cells(kind: Kind, item: Item) -> Iterator[tuple[object, ...]]:
    if kind != "boxes":
        yield (SEPARATOR.join(item.labels or ()),)
        return
    for box in item.boxes:
        yield (box.x1, box.y1, box.x2, box.y2, box.label)
    if not item.boxes:
        yield ("",) * 5
