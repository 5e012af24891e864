"""What opening a data set has found, as a record."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.images import Images
from headstart.record import Rejection
from headstart.record.data_check import CheckedClass, Copies, Copy, DataCheck
from headstart.urls import url_of

_FEW = 10
_COLUMNS = ["image", "label", "split", "sha256"]
_ORDER = {"test": 0, "val": 1, "train": 2}


def describe_data(data: str | os.PathLike[str], images: Images) -> DataCheck:
    """Return what opening the data has found: its classes, copies, leaks and contradictions.

    Args:
        data: What the user passed.
        images: The opened data.
    """
    every = images.all
    classes = tuple(map(CheckedClass, images.classes, every.counts()))
    smallest = min((one.images for one in classes if one.images), default=0)
    single = images.task.activation == "softmax"
    copies = tuple(_copies(images))
    return DataCheck(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=images.name,
        source=url_of(data) or os.fspath(data),
        task=images.task.name,
        images=len(every),
        splits=dict(Counter(every.table["split"].to_pylist())) if images.split_given else {},
        classes=classes,
        few=tuple(few_images(images)),
        imbalance=max(o.images for o in classes) / smallest if single and smallest else None,
        rejected=tuple(Rejection(*rejection) for rejection in images.rejected),
        duplicates=copies,
        leaks=images.leaks,
        conflicts=tuple(_conflicts(images, copies)),
        warnings=images.warnings,
    )


def few_images(images: Images) -> Iterator[CheckedClass]:
    """Yield the classes with too few images to learn or to measure."""
    for name, count in zip(images.classes, images.all.counts(), strict=True):
        if count < _FEW:
            yield CheckedClass(name, count)


def _copies(images: Images) -> Iterator[Copies]:
    columns = images.all.table.select(_COLUMNS).to_pylist()
    rows = {row["image"]: row for row in columns}
    for names in images.copies:
        known = [rows[name] for name in names if name in rows]
        if len(known) > 1:
            yield _group(known, images)


def _conflicts(images: Images, copies: Sequence[Copies]) -> Iterator[Copies]:
    """Yield copies whose labels contradict each other; exact ones were rejected for that."""
    files = defaultdict(list)
    for row in images.manifest.select([*_COLUMNS, "rejected"]).to_pylist():
        if row["rejected"] is not None and row["sha256"] is not None and row["label"] is not None:
            files[row["sha256"]].append(row)
    for rows in files.values():
        if images.task.conflict({row["label"] for row in rows}):
            yield _group(rows, images)
    every = images.all
    label_of = dict(zip(every.names, every.table["label"].to_pylist(), strict=True))
    path_of = dict(zip(every.names, every.paths, strict=True))
    for one in copies:
        sizes = read_sizes([path_of[name] for name in one.names])
        labels = {
            images.task.scaled_label(label_of[name], size.seen) if size else label_of[name]
            for name, size in zip(one.names, sizes, strict=True)
        }
        if images.task.conflict(labels):
            yield one


def _group(rows: Sequence[dict[str, str]], images: Images) -> Copies:
    """Return copies, the one that should stay where it is first."""
    ordered = sorted(rows, key=lambda row: _ORDER.get(row["split"], len(_ORDER)))
    seen: set[str] = set()
    found = []
    for row in ordered:
        split = row["split"] if images.split_given else None
        exact = row["sha256"] in seen
        label = images.task.label_text(row["label"])
        found.append(Copy(row["image"], label, split, exact))
        seen.add(row["sha256"])
    return Copies(tuple(found))
