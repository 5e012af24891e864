"""The images that the cells of a table mean: paths, or embedded images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from headstart.data.columns import choose_image_column
from headstart.data.inputs import ListedImage
from headstart.data.labels import cell_text
from headstart.data.locating import Locator
from headstart.data.staging import make_staging
from headstart.data.table_files import is_embedded, open_table, unreadable_table
from headstart.errors import DataError
from headstart.files import atomic_create, file_sha256


@dataclass(frozen=True)
class ImageCells:
    """Finds the images of a column.

    Attributes:
        folder: For embedded images.
        locator: Finds the files of paths.
    """

    folder: Path
    locator: Locator

    @classmethod
    def of(cls, path: Path, kind: pa.DataType, staging: Path, base: str | None = None) -> Self:
        """Return what finds the images of a table.

        Args:
            path: The table.
            kind: The type of the column.
            staging: Folder for embedded images.
            base: The folder that paths are relative to, or its URL; by default, the table's own.
        """
        folder = make_staging(staging / file_sha256(path)) if is_embedded(kind) else path.parent
        return cls(folder, Locator(base or path.parent))

    def find(self, number: int, cell: object) -> list[tuple[str, str, str | None]]:
        """Return images' names, paths, and the problem with the cell if there is one.

        Args:
            number: The number of the row, from 0.
            cell: A path, the bytes of an image, or a struct of both. A study has several images.
        """
        row = f"row {number + 1}"
        if isinstance(cell, dict):
            name, data = str(cell.get("path") or row), cell.get("bytes")
            if data is None and cell.get("path"):
                return self.locator.find_all(name)
            return [_stage(number, name, data, self.folder)]
        if isinstance(cell, bytes):
            return [_stage(number, row, cell, self.folder)]
        if cell_text(cell) is None:
            return [(row, "", "its path is missing")]
        return self.locator.find_all(str(cell).strip())


def listed_images(path: Path, staging: Path, base: str | None = None) -> Iterator[ListedImage]:
    """Yield the images of a table, of which nothing else is read.

    Args:
        path: The table.
        staging: Folder for embedded images.
        base: See `ImageCells.of`.

    Raises:
        DataError: It cannot be parsed, or has no column of images or no rows.
    """
    table = open_table(path)
    column = choose_image_column(path, table.schema.names)
    cells = ImageCells.of(path, table.schema.field(column).type, staging, base)
    number = 0
    try:
        for batch in table.batches([column]):
            for cell in batch.column(0).to_pylist():
                yield from (ListedImage(*found) for found in cells.find(number, cell))
                number += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable_table(path, error) from None
    if not number:
        raise DataError(f"Table '{path}' has no rows below the names of its columns.")


def _stage(number: int, name: str, data: bytes | None, folder: Path) -> tuple[str, str, str | None]:
    if data is None:
        return name, "", "it has no bytes"
    target = folder / f"{number:08d}"
    if not target.exists():
        with atomic_create(target) as partial:
            partial.write_bytes(data)
    return name, str(target), None
