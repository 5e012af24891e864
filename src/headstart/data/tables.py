"""List the images of a CSV or Parquet table of paths or embedded images."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from headstart.data.manifest import SPLIT_NAMES, Entry
from headstart.data.staging import make_staging
from headstart.errors import DataError, OptionError, suggestion
from headstart.files import atomic_create, file_sha256

_MISSING = ("", "nan", "null", "n/a")
_ROWS = 256

_Batches = Callable[[Sequence[str]], Iterable[pa.RecordBatch]]
"""Reads the given columns in batches."""


def is_table(path: Path) -> bool:
    """Return whether a file name has the suffix of a supported table."""
    return path.suffix.lower() in (".csv", ".tsv", ".parquet")


def read_table(path: Path, *, staging: Path, group: str | None = None) -> list[Entry]:
    """Read a table with the columns `path` or `image`, `label`, and optional `split` and `group`.

    `image` may contain paths, or embedded images as Hugging Face exports them: a struct with
    `bytes` and `path`. Embedded images are written to `staging` once, so that memory does not grow
    with their number. Paths are relative to the table's folder.

    Raises:
        DataError: The file cannot be parsed, or a column is missing.
        OptionError: `group` is not a column.
    """
    schema, batches = _open(path)
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise DataError(f"Table '{path}' has the column '{repeated[0]}' more than once.")
    image = _image_column(path, schema)
    if group is not None and group not in schema.names:
        raise OptionError(
            f"--group '{group}' is not a column of '{path}'. It has: {', '.join(schema.names)}."
        )
    wanted = [name for name in (image, "label", "split", group or "group") if name in schema.names]
    label_names = _class_names(schema)
    embedded = _is_embedded(schema.field(image).type)
    folder = make_staging(staging / file_sha256(path)) if embedded else path.parent
    entries: list[Entry] = []
    try:
        for batch in batches(wanted):
            for row in batch.to_pylist():
                entries.append(
                    _entry(len(entries), row, image, group or "group", folder, label_names)
                )
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None
    return _relative_names(entries)


def _relative_names(entries: list[Entry]) -> list[Entry]:
    """Name images with absolute paths by their path relative to the common folder."""
    absolute = [entry.image for entry in entries if Path(entry.image).is_absolute()]
    if len(absolute) < 2 or len(absolute) < len(entries):
        return entries
    common = os.path.commonpath([str(Path(name).parent) for name in absolute])
    return [replace(entry, image=os.path.relpath(entry.image, common)) for entry in entries]


def _open(path: Path) -> tuple[pa.Schema, _Batches]:
    try:
        if path.suffix.lower() == ".parquet":
            file = pq.ParquetFile(path)
            return file.schema_arrow, lambda columns: file.iter_batches(_ROWS, columns=columns)
        table = _read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None
    return table.schema, lambda columns: table.select(columns).to_batches(_ROWS)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return DataError(f"Table '{path}' cannot be read: {reason.rstrip('.')}.")


def _read_csv(path: Path) -> pa.Table:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        header = file.readline().decode("utf-8-sig", "replace").strip().split(delimiter)
    text = {name.strip('"'): pa.string() for name in header}
    return pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=text),
    )


def _image_column(path: Path, schema: pa.Schema) -> str:
    for name in ("path", "image"):
        if name in schema.names:
            if "label" not in schema.names:
                hint = suggestion("label", schema.names)
                raise DataError(
                    f"Table '{path}' has no column 'label'.{hint} "
                    f"It has: {', '.join(schema.names)}."
                )
            return name
    raise DataError(
        f"Table '{path}' has no column 'path' or 'image'. It has: {', '.join(schema.names)}."
    )


def _is_embedded(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_struct, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in kinds)


def _class_names(schema: pa.Schema) -> list[str] | None:
    """Read the class names of a Hugging Face ClassLabel column, whose cells are numbers."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = info["info"]["features"]["label"]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _entry(
    number: int,
    row: Mapping[str, object],
    image: str,
    group: str,
    folder: Path,
    label_names: list[str] | None,
) -> Entry:
    label = _text(row["label"])
    split, problem = _split(row.get("split"))
    if label is None:
        problem = "its label is missing"
    elif label_names and label not in label_names:
        known = label.isdigit() and int(label) < len(label_names)
        problem = problem if known else f"its label {label} is not one of the table's classes"
        label = label_names[int(label)] if known else None
    name, path, missing = _locate(number, row[image], folder)
    return Entry(name, path, label, split, _text(row.get(group)), problem or missing)


def _locate(number: int, cell: object, folder: Path) -> tuple[str, str, str | None]:
    """Return an image's name, its path, and the problem with the cell if there is one."""
    row = f"row {number + 1}"
    if isinstance(cell, dict):
        name = str(cell.get("path") or row)
        return _stage(number, name, cell.get("bytes"), folder)
    if isinstance(cell, bytes):
        return _stage(number, row, cell, folder)
    text = _text(cell)
    if text is None:
        return row, "", "its path is missing"
    return text, str(folder / text), None


def _stage(number: int, name: str, data: bytes | None, folder: Path) -> tuple[str, str, str | None]:
    if data is None:
        return name, "", "it has no bytes"
    target = folder / f"{number:08d}"
    if not target.exists():
        with atomic_create(target) as partial:
            partial.write_bytes(data)
    return name, str(target), None


def _split(cell: object) -> tuple[str | None, str | None]:
    text = _text(cell)
    if text is None:
        return None, None
    split = SPLIT_NAMES.get(text.lower())
    return split, None if split else f"its split '{text}' is not train, val or test"


def _text(cell: object) -> str | None:
    if cell is None or cell != cell or str(cell).strip().lower() in _MISSING:
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
