"""What opening a data set has found, as a record."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from headstart.data.images import Images
from headstart.data.plan import label_text
from headstart.record import Rejection
from headstart.record.data_check import CheckedClass, Copies, DataCheck

_FEW = 10


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
        source=os.fspath(data),
        task=images.task.name,
        images=len(every),
        splits=dict(Counter(every.table["split"].to_pylist())) if images.split_given else {},
        classes=classes,
        few=tuple(one for one in classes if one.images < _FEW),
        imbalance=max(o.images for o in classes) / smallest if single and smallest else None,
        rejected=tuple(Rejection(*rejection) for rejection in images.rejected),
        duplicates=copies,
        leaks=images.leaks,
        conflicts=(
            *_conflicting_files(images),
            *(one for one in copies if len(one.labels) > 1 and _contradict(images, one)),
        ),
        warnings=images.warnings,
    )


def _copies(images: Images) -> Iterator[Copies]:
    columns = images.all.table.select(["image", "label", "split", "sha256"]).to_pylist()
    rows = {row["image"]: row for row in columns}
    for names in images.copies:
        known = [rows[name] for name in names if name in rows]
        if len(known) > 1:
            yield _group(known, images)


def _conflicting_files(images: Images) -> Iterator[Copies]:
    """Yield files with the same content and different labels, which were rejected for that."""
    files = defaultdict(list)
    columns = ["image", "label", "split", "sha256", "rejected"]
    for row in images.manifest.select(columns).to_pylist():
        if row["rejected"] is not None and row["sha256"] is not None:
            files[row["sha256"]].append(row)
    for rows in files.values():
        group = _group(rows, images)
        if len(rows) > 1 and len(group.labels) > 1:
            yield group


def _group(rows: Sequence[dict[str, str]], images: Images) -> Copies:
    labels = {_shown(images, row["label"]) for row in rows if row["label"] is not None}
    splits = {row["split"] for row in rows if row["split"]} if images.split_given else set()
    return Copies(
        tuple(row["image"] for row in rows),
        len({row["sha256"] for row in rows}) == 1,
        tuple(sorted(labels)),
        tuple(sorted(splits)),
    )


def _contradict(images: Images, copies: Copies) -> bool:
    table = images.all.table
    labels = dict(zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True))
    return images.task.conflict({labels[name] for name in copies.images}) is not None


def _shown(images: Images, label: str) -> str:
    return label_text(label, several=images.task.activation == "sigmoid")
