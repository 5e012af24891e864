"""Looking into every file once: is it an image, is it there twice, do its labels agree."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headstart.data.decoding import decode_image, quiet_pillow, read_image, stored_form
from headstart.data.hashing import (
    Thumbnails,
    connected,
    near_duplicates,
    perceptual_hash,
    thumbnail,
)
from headstart.data.manifest import Entry, Facts, manifest_of, with_column
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits

# The miniature needs 17 pixels; a JPEG decoded at eight times that is exact enough and fast.
_SCAN_SIDE = 136

# Called with how many images are done, and how many there are in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scan:
    """What looking into every file gave.

    Attributes:
        manifest: See `manifest.SCHEMA`; `group` names the images that must stay together.
        conflicts: Images whose content stands under two labels, all of them rejected.
        duplicates: How many images are copies, exact or near, of another one.
    """

    manifest: pa.Table
    conflicts: list[str]
    duplicates: int


def scan(
    entries: Sequence[Entry],
    *,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Open, hash and compare every image.

    Args:
        entries: What the source lists.
        limits: Most bytes and pixels of one image.
        progress: Called after each image.
    """
    limits = limits or DecodeLimits()
    facts: list[Facts] = []
    miniatures: list[Thumbnails | None] = []
    with quiet_pillow(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for fact, miniature in pool.map(lambda entry: _look(entry, limits), entries, chunksize=16):
            facts.append(fact)
            miniatures.append(miniature)
            if progress:
                progress(len(facts), len(entries))
    manifest = manifest_of(entries, facts)
    manifest, conflicts = _reject_conflicts(manifest)
    groups, duplicates = _groups(manifest, miniatures)
    return Scan(with_column(manifest, "group", groups), conflicts, duplicates)


def _look(entry: Entry, limits: DecodeLimits) -> tuple[Facts, Thumbnails | None]:
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


def _reject_conflicts(manifest: pa.Table) -> tuple[pa.Table, list[str]]:
    """Reject every image whose exact content stands under more than one label."""
    labels: dict[str, set[str]] = defaultdict(set)
    rows = manifest.select(["image", "sha256", "label", "rejected"]).to_pylist()
    for row in rows:
        if row["rejected"] is None:
            labels[row["sha256"]].add(row["label"])
    conflicts, reasons = [], []
    for row in rows:
        names = labels.get(row["sha256"], set())
        if row["rejected"] is None and len(names) > 1:
            conflicts.append(row["image"])
            row["rejected"] = (
                f"the same image stands under the labels {' and '.join(sorted(names))}"
            )
        reasons.append(row["rejected"])
    return with_column(manifest, "rejected", reasons), conflicts


def _groups(
    manifest: pa.Table, miniatures: Sequence[Thumbnails | None]
) -> tuple[list[str | None], int]:
    """Name the images that must stay together: copies, near copies, and the user's own groups.

    A group is called by what the user calls it, so that it may grow, or else by the smallest
    sha256 in it, so that its name depends on content alone.
    """
    rows = manifest.select(["sha256", "group", "rejected"]).to_pylist()
    used = [number for number, row in enumerate(rows) if row["rejected"] is None]
    if not used:
        return [None] * len(rows), 0
    copies = near_duplicates(np.stack([_required(miniatures[number]) for number in used]))
    together = _chained([rows[number]["sha256"] for number in used])
    duplicates = len(used) - len(set(connected(len(used), copies + together)))
    together += copies + _chained([rows[number]["group"] for number in used])
    names: list[str | None] = [None] * len(rows)
    members = defaultdict(list)
    for number, root in zip(used, connected(len(used), together), strict=True):
        members[root].append(number)
    for numbers in members.values():
        own = [rows[number]["group"] for number in numbers if rows[number]["group"] is not None]
        name = min(own) if own else min(rows[number]["sha256"] for number in numbers)
        for number in numbers:
            names[number] = name
    return names, duplicates


def _chained(values: Sequence[str | None]) -> list[tuple[int, int]]:
    """Pair each item with the first one of the same value."""
    first: dict[str, int] = {}
    return [
        (first[value], number)
        for number, value in enumerate(values)
        if value is not None and first.setdefault(value, number) != number
    ]


def _required(miniature: Thumbnails | None) -> Thumbnails:
    assert miniature is not None
    return miniature
