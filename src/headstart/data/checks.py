"""Read every file once, to find unreadable images, duplicates and contradictory labels."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from headstart.arrays import Pairs, Thumbnail
from headstart.data.colour import blank_on
from headstart.data.contract import CURRENT, LEVELS, PixelContract
from headstart.data.decoding import convert, load_image, read_header, read_image
from headstart.data.duplicates import component_labels, near_duplicates
from headstart.data.hashing import THUMBNAIL, make_thumbnail, perceptual_hash
from headstart.data.manifest import Entry, FileInfo, build_manifest, with_column
from headstart.data.merging import drop_copies, share_labels
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits
from headstart.task import Task
from headstart.threads import map_in_order
from headstart.urls import reading_threads
from headstart.watching import Progress

# A thumbnail needs 17 pixels; decoding a JPEG at eight times that is accurate enough, and fast.
_SCAN_SIDE = 136
# Files of a thread that are checked ahead.
_AHEAD = 16


@dataclass(frozen=True)
class Scan:
    """The result of checking every file.

    Attributes:
        manifest: See `manifest.SCHEMA`; `group` names the images that must stay together.
        copies: Names of the images of each picture that has exact or near duplicates.
        merged: Number of copies of which their labels are merged into those of another one.
        conflicts: Number of images rejected because their copies have other labels.
    """

    manifest: pa.Table
    copies: tuple[tuple[str, ...], ...]
    merged: int = 0
    conflicts: int = 0

    @property
    def duplicates(self) -> int:
        """Number of images that are exact or near duplicates of another image."""
        return sum(len(names) - 1 for names in self.copies) - self.merged


Checked = tuple[FileInfo, Thumbnail | None]
"""What is known of a file, and its thumbnail if it can be decoded."""

CheckFiles = Callable[[Sequence[Entry], DecodeLimits], Iterable[Checked]]
"""Checks files, and yields what is known of each, in order."""


def check_files(entries: Sequence[Entry], limits: DecodeLimits) -> Iterator[Checked]:
    """Read and decode files in threads of this process, in order."""
    threads = reading_threads(entries[0].path) if entries else 1
    check = partial(_check_file, limits=limits)
    with quiet_libraries(), ThreadPoolExecutor(threads) as pool:
        yield from map_in_order(pool, check, entries, ahead=_AHEAD * threads)


def scan(
    entries: Sequence[Entry],
    *,
    task: Task,
    copies_are_one: bool = False,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
    check: CheckFiles = check_files,
) -> Scan:
    """Open, hash and compare every image.

    Args:
        entries: The images that the source lists.
        task: The task, which decides whether labels conflict.
        copies_are_one: Whether copies of an image are one image that has the labels of all.
        limits: Maximum bytes and pixels per image.
        progress: Called after each image.
        check: Reads and decodes the files.
    """
    manifest, thumbnails = _check_all(entries, check, limits or DecodeLimits(), progress)
    usable = manifest["rejected"].null_count
    manifest = share_labels(manifest) if copies_are_one else _reject_conflicts(manifest, task)
    conflicts = usable - manifest["rejected"].null_count
    groups, copies = _assign_groups(manifest, thumbnails)
    manifest = with_column(manifest, "group", groups)
    kept = drop_copies(manifest) if copies_are_one else manifest
    merged = manifest.num_rows - kept.num_rows
    return Scan(kept, copies, merged, conflicts)


def _check_all(
    entries: Sequence[Entry], check: CheckFiles, limits: DecodeLimits, progress: Progress | None
) -> tuple[pa.Table, Thumbnail]:
    """Return the manifest, and the thumbnails, (images, 16, 17); those of unusable files are 0."""
    infos: list[FileInfo] = []
    thumbnails = np.zeros((len(entries), *THUMBNAIL), np.uint8)
    for info, thumbnail in check(entries, limits):
        if thumbnail is not None:
            thumbnails[len(infos)] = thumbnail
        infos.append(info)
        if progress:
            progress(len(infos), len(entries))
    return build_manifest(entries, infos), thumbnails


def _check_file(entry: Entry, limits: DecodeLimits) -> Checked:
    if entry.rejected:
        return FileInfo(), None
    try:
        window = entry.window or CURRENT.window
        return check_image(read_image(entry.path), path=entry.path, limits=limits, window=window)
    except UnreadableImage as error:
        return FileInfo(rejected=error.reason), None


def check_image(
    data: bytes, *, path: str, limits: DecodeLimits, window: str = CURRENT.window
) -> tuple[FileInfo, Thumbnail]:
    """Return the properties of an image file, and its thumbnail.

    Args:
        data: The content of the file.
        path: Its name in error messages.
        limits: Maximum bytes and pixels.
        window: The grey values that are shown of a medical image.

    Raises:
        UnreadableImage: It cannot be decoded.
    """
    contract = PixelContract(window=window)
    loaded = load_image(data, path=path, min_side=_SCAN_SIDE, contract=contract, limits=limits)
    blank = blank_on(loaded.image)
    visible = next(background for background in LEVELS if background not in blank)
    image = convert(loaded.image, path=path, contract=PixelContract(background=visible))
    thumbnail = make_thumbnail(image)
    header = read_header(data)
    info = FileInfo(
        sha256=hashlib.sha256(data).hexdigest(),
        perceptual_hash=perceptual_hash(thumbnail),
        width=header.width,
        height=header.height,
        mode=header.mode,
        has_more=header.has_more,
        repaired=loaded.repair,
        blank_on=" ".join(blank) or None,
    )
    return info, thumbnail


def _reject_conflicts(manifest: pa.Table, task: Task) -> pa.Table:
    """Reject every image that has an exact copy with a contradictory label."""
    labels: dict[str, set[str]] = defaultdict(set)
    names = ("sha256", "label", "rejected")
    rows = list(zip(*(manifest[name].to_pylist() for name in names), strict=True))
    for sha256, label, rejected in rows:
        if rejected is None:
            labels[sha256].add(label)
    reasons = {sha256: task.conflict(found) for sha256, found in labels.items()}
    rejections = [rejected or reasons[sha256] for sha256, _, rejected in rows]
    return with_column(manifest, "rejected", rejections)


def _assign_groups(
    manifest: pa.Table, thumbnails: Thumbnail
) -> tuple[list[str | None], tuple[tuple[str, ...], ...]]:
    """Group the images that must stay together, and list the duplicates among them.

    Exact copies, near duplicates and the user's own groups are merged. A group keeps the user's
    name, so that it can grow. Otherwise it is named by the smallest sha256 in it, so that the name
    depends only on the content.
    """
    used = np.flatnonzero(manifest["rejected"].is_null().to_numpy())
    if not len(used):
        return [None] * len(manifest), ()
    images, sha256s, own_groups = (
        manifest[name].take(used).to_pylist() for name in ("image", "sha256", "group")
    )
    near = near_duplicates(thumbnails[used])
    duplicate_pairs = [np.stack([np.arange(len(used)), near], axis=1), _pairs_of_equal(sha256s)]
    copies: dict[int, list[str]] = defaultdict(list)
    pictures = component_labels(len(used), np.concatenate(duplicate_pairs)).tolist()
    for image, picture in zip(images, pictures, strict=True):
        copies[picture].append(image)
    group_pairs = [*duplicate_pairs, _pairs_of_equal(own_groups)]
    names: list[str | None] = [None] * len(manifest)
    members: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(component_labels(len(used), np.concatenate(group_pairs))):
        members[label].append(number)
    for numbers in members.values():
        own = [group for number in numbers if (group := own_groups[number]) is not None]
        name = min(own) if own else min(sha256s[number] for number in numbers)
        for row in used[numbers]:
            names[row] = name
    return names, tuple(tuple(images) for images in copies.values() if len(images) > 1)


def _pairs_of_equal(values: Sequence[str | None]) -> Pairs:
    """Pair each item with the first item of the same value."""
    first: dict[str, int] = {}
    pairs = [
        (first.setdefault(value, number), number)
        for number, value in enumerate(values)
        if value is not None
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
