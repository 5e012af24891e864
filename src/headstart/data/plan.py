"""A plan of changes to labelled images.

It is written with what `check` found, edited by a person, and carried out on a copy. The copy is a
folder with the images and a table of them, which every command takes as its data.
"""

import csv
import io
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

import pyarrow as pa

from headstart.data.decoding import read_image
from headstart.data.delimited import read_delimited
from headstart.data.labels import SEPARATOR, read_labels, write_labels
from headstart.errors import DataError, OutputError
from headstart.files import atomic_create, write_atomically
from headstart.urls import is_url

Action = Literal["keep", "drop", "move", "relabel"]

_IMAGES = "images"
TABLE = "images.csv"
"""The table in the folder of a copy."""

NO_LABEL = "|"
"""What `new_label` is if no label is present."""

_SPLITS = ("train", "val", "test")
# Spreadsheets run a cell that begins with one of these as a formula. An apostrophe is written
# before them, and before one that is there already.
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True)
class Step:
    """What is done with one image.

    Attributes:
        image: Its name in the data.
        label: The label that it has; with several labels, those that are present, separated by "|".
        split: The part of the given split; "" without one.
        action: "keep", "drop", "move" (to the part `new_split`) or "relabel" (to `new_label`).
        new_label: The new label; with several, all that are present, or "|" if none is.
        new_split: "train", "val" or "test".
        reason: Why.
    """

    image: str
    label: str
    split: str
    action: Action
    new_label: str = ""
    new_split: str = ""
    reason: str = ""


_COLUMNS = tuple(field.name for field in fields(Step))


def write_plan(path: Path, steps: Iterable[Step]) -> None:
    """Write a plan as CSV, in which no cell is a formula.

    Raises:
        OutputError: It cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(map(_guarded, astuple(step)) for step in steps)
    try:
        write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise OutputError(f"Plan '{path}' cannot be written: {error.strerror}.") from None


def read_plan(path: Path) -> list[Step]:
    """Read an edited plan.

    Raises:
        DataError: It cannot be read, or a row is not complete.
    """
    try:
        table = read_delimited(path).table
    except (OSError, pa.ArrowInvalid) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"Plan '{path}' cannot be read: {reason}.") from None
    if missing := [name for name in ("image", "action") if name not in table.column_names]:
        raise DataError(
            f"Plan '{path}' has no column '{missing[0]}'. Write one with headstart check DATA "
            f"--plan {path}"
        )
    steps = [_step(path, number, row) for number, row in enumerate(table.to_pylist(), start=2)]
    seen: set[str] = set()
    for number, step in enumerate(steps, start=2):
        if step.image in seen:
            raise DataError(f"Plan '{path}', line {number}: '{step.image}' is named twice.")
        seen.add(step.image)
    return steps


def apply_plan(
    manifest: pa.Table, steps: Sequence[Step], out: Path, *, several: bool, plan: Path
) -> dict[Action, int]:
    """Copy images as a plan says, with a table of them; the originals are not touched.

    The table has their label, and the part of the split and the group if there are any. Other
    columns of a table that the images are from are not copied.

    Args:
        manifest: The data, with a split only if it is given. Images that are rejected are not
            copied unless they get another label.
        steps: The plan. Images that it does not name are copied as they are.
        out: The folder to create.
        several: Whether each image has several labels.
        plan: The file of the plan, for messages.

    Returns:
        The number of images of each action.

    Raises:
        DataError: The plan names an image that is not in the data, moves one although there is no
            split, or leaves none.
        OutputError: The folder exists, or cannot be written.
    """
    _check_steps(manifest, steps, plan)
    if out.exists():
        raise OutputError(f"Output '{out}' already exists. Choose a new folder.")
    planned = {step.image: step for step in steps}
    counts: dict[Action, int] = dict.fromkeys(get_args(Action), 0)
    try:
        with atomic_create(out) as folder:
            rows = list(_copied(manifest, planned, folder, counts, several=several))
            if not rows:
                raise DataError(f"Plan '{plan}' leaves no image. Nothing was written.")
            _write_table(folder / TABLE, rows, several=several)
    except OSError as error:
        raise OutputError(f"Output '{out}' cannot be written: {error.strerror}.") from None
    return counts


def _check_steps(manifest: pa.Table, steps: Sequence[Step], plan: Path) -> None:
    known = set(manifest["image"].to_pylist())
    if unknown := [step.image for step in steps if step.image not in known]:
        count = "an image that is" if len(unknown) == 1 else f"{len(unknown):,} images that are"
        raise DataError(
            f"Plan '{plan}' names {count} not in the data: '{unknown[0]}'. Nothing was written."
        )
    moved = next((step.image for step in steps if step.action == "move"), None)
    if moved is not None and manifest["split"].null_count == manifest.num_rows:
        raise DataError(
            f"Plan '{plan}' moves '{moved}', but the data has no split. Put the images into "
            "folders train and test, or add a column 'split' to the table, and check again."
        )


def _step(path: Path, number: int, row: Mapping[str, str]) -> Step:
    cells = {name: _unguarded(row.get(name) or "") for name in _COLUMNS}
    action = cells["action"].strip().lower() or "keep"
    split = cells["new_split"].strip().lower()
    cells["new_split"] = "val" if split == "validation" else split
    where = f"Plan '{path}', line {number}"
    if action not in get_args(Action):
        raise DataError(
            f"{where}: action '{cells['action']}' is not one of {', '.join(get_args(Action))}."
        )
    if action == "relabel" and not cells["new_label"].strip():
        raise DataError(f"{where}: action relabel needs a label in the column new_label.")
    if action == "move" and cells["new_split"] not in _SPLITS:
        raise DataError(
            f"{where}: action move needs {', '.join(_SPLITS[:-1])} or {_SPLITS[-1]} in the column "
            f"new_split. Got '{cells['new_split']}'."
        )
    return Step(**{**cells, "action": cast("Action", action)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Copy:
    """A row of the copy's table."""

    path: str
    label: str
    split: str
    group: str


def _copied(
    manifest: pa.Table,
    planned: Mapping[str, Step],
    folder: Path,
    counts: dict[Action, int],
    *,
    several: bool,
) -> Iterator[_Copy]:
    """Copy the images, and yield their rows of the table."""
    columns = ("image", "path", "label", "split", "group", "rejected", "sha256")
    given_groups = set(manifest["group"].to_pylist()) - set(manifest["sha256"].to_pylist())
    for number, row in enumerate(manifest.select(columns).to_pylist()):
        step = planned.get(row["image"], Step(row["image"], "", "", "keep"))
        unusable = row["rejected"] is not None and step.action != "relabel"
        if step.action == "drop" or unusable:
            counts["drop"] += 1
            continue
        counts[step.action] += 1
        name = _file_name(row["image"], row["path"], number)
        target = folder / _IMAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_url(row["path"]):
            target.write_bytes(read_image(row["path"]))
        else:
            shutil.copyfile(row["path"], target)
        label = row["label"] or ("{}" if several else "")
        if step.action == "relabel":
            label = _relabelled(label, step.new_label, several=several)
        split = step.new_split if step.action == "move" else row["split"] or ""
        group = row["group"] if row["group"] in given_groups else ""
        yield _Copy(f"{_IMAGES}/{name}", label, split, group)


def _file_name(image: str, path: str, number: int) -> str:
    """Return the name of a copied file: that of the image, if it is a path within a folder."""
    name, suffix = PurePosixPath(image), PurePosixPath(path).suffix
    if name.is_absolute() or ".." in name.parts or "\\" in image or not name.name:
        return f"{number:06}{suffix}"
    return image if name.suffix.lower() == suffix.lower() else f"{image}{suffix}"


def _relabelled(label: str, new: str, *, several: bool) -> str:
    """Return the new label; with several labels, those that are not named become absent."""
    if not several:
        return new.strip()
    named = {name.strip() for name in new.split(SEPARATOR) if name.strip()}
    kept = {name: None if value is None else False for name, value in read_labels(label).items()}
    return write_labels({**kept, **dict.fromkeys(named, True)})


def _write_table(path: Path, rows: Sequence[_Copy], *, several: bool) -> None:
    """Write the table of a copy: one column for each label if there are several."""
    names = sorted({name for row in rows for name in read_labels(row.label)}) if several else []
    optional = {
        name: [getattr(row, name) for row in rows]
        for name in ("split", "group")
        if any(getattr(row, name) for row in rows)
    }
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *(names or ["label"]), *optional])
        for number, row in enumerate(rows):
            labels = [_cell(read_labels(row.label).get(name, False)) for name in names]
            values = labels if several else [row.label]
            writer.writerow([row.path, *values, *(column[number] for column in optional.values())])


def _cell(present: bool | None) -> str:
    return "" if present is None else str(int(present))


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_GUARDED) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_GUARDED) else cell
