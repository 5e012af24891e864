"""Reads every file once: is it an image, is it there twice, do its labels agree."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headstart.arrays import Miniature, Pairs
from headstart.data.decoding import decode_image, quiet_pillow, read_image, stored_form
from headstart.data.duplicates import connected, near_duplicates
from headstart.data.hashing import perceptual_hash, thumbnail
from headstart.data.manifest import Entry, Facts, manifest_of, with_column
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits
from headstart.task import Task
from headstart.watching import Progress

# The miniature needs 17 pixels; a JPEG decoded at eight times that is exact enough and fast.
_SCAN_SIDE = 136


@dataclass(frozen=True)
class Scan:
    """What is known once every file was read.

    Attributes:
        manifest: See `manifest.SCHEMA`; `group` names the images that must stay together.
        conflicts: Images whose copies have labels that contradict each other, all rejected.
        duplicates: How many images are copies, exact or near, of another one.
    """

    manifest: pa.Table
    conflicts: list[str]
    duplicates: int


def scan(
    entries: Sequence[Entry],
    *,
    task: Task,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Open, hash and compare every image.

    Args:
        entries: What the source lists.
        task: Their kind of label.
        limits: Most bytes and pixels of one image.
        progress: Called after each image.
    """
    limits = limits or DecodeLimits()
    facts: list[Facts] = []
    miniatures: list[Miniature | None] = []
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for fact, miniature in pool.map(lambda entry: _look(entry, limits), entries, chunksize=16):
            facts.append(fact)
            miniatures.append(miniature)
            if progress:
                progress(len(facts), len(entries))
    manifest = manifest_of(entries, facts)
    manifest, conflicts = _reject_conflicts(manifest, task)
    groups, duplicates = _groups(manifest, miniatures)
    return Scan(with_column(manifest, "group", groups), conflicts, duplicates)


def _look(entry: Entry, limits: DecodeLimits) -> tuple[Facts, Miniature | None]:
    if entry.rejected:
        return Facts(), None
    try:
        data = read_image(entry.path)
        image = decode_image(data, path=entry.path, smallest=_SCAN_SIDE, limits=limits)
    except UnreadableImage as error:
        return Facts(rejected=error.reason), None
    miniature = thumbnail(image)
    width, height, mode = stored_form(data)
    digest = hashlib.sha256(data).hexdigest()
    return Facts(digest, perceptual_hash(miniature), width, height, mode), miniature


def _reject_conflicts(manifest: pa.Table, task: Task) -> tuple[pa.Table, list[str]]:
    """Reject every image whose exact content has labels that contradict each other."""
    labels: dict[str, set[str]] = defaultdict(set)
    rows = manifest.select(["image", "sha256", "label", "rejected"]).to_pylist()
    for row in rows:
        if row["rejected"] is None:
            labels[row["sha256"]].add(row["label"])
    why = {sha256: task.conflict(names) for sha256, names in labels.items()}
    conflicts, reasons = [], []
    for row in rows:
        conflict = why.get(row["sha256"]) if row["rejected"] is None else None
        if conflict:
            conflicts.append(row["image"])
        reasons.append(conflict or row["rejected"])
    return with_column(manifest, "rejected", reasons), conflicts


def _groups(
    manifest: pa.Table, miniatures: Sequence[Miniature | None]
) -> tuple[list[str | None], int]:
    """Name the images that must stay together: copies, near copies, and the user's own groups.

    A group is named as the user names it, so that it may grow, or else by the smallest sha256 in
    it, so that its name depends on content alone.
    """
    rows = manifest.select(["sha256", "group", "rejected"]).to_pylist()
    used = [number for number, row in enumerate(rows) if row["rejected"] is None]
    if not used:
        return [None] * len(rows), 0
    copies = near_duplicates(np.stack([_required(miniatures[number]) for number in used]))
    same = [
        np.stack([np.arange(len(used)), copies], axis=1),
        _chained([rows[number]["sha256"] for number in used]),
    ]
    duplicates = len(used) - len(np.unique(connected(len(used), np.concatenate(same))))
    together = [*same, _chained([rows[number]["group"] for number in used])]
    names: list[str | None] = [None] * len(rows)
    members = defaultdict(list)
    first = connected(len(used), np.concatenate(together)).tolist()
    for number, root in zip(used, first, strict=True):
        members[root].append(number)
    for numbers in members.values():
        own = [rows[number]["group"] for number in numbers if rows[number]["group"] is not None]
        name = min(own) if own else min(rows[number]["sha256"] for number in numbers)
        for number in numbers:
            names[number] = name
    return names, duplicates


def _chained(values: Sequence[str | None]) -> Pairs:
    """Pair each item with the first one of the same value."""
    first: dict[str, int] = {}
    pairs = [
        (first.setdefault(value, number), number)
        for number, value in enumerate(values)
        if value is not None
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _required(miniature: Miniature | None) -> Miniature:
    assert miniature is not None
    return miniature
