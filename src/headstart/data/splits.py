"""Which images are learnt from and which are only measured on."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

from headstart.data.manifest import with_column
from headstart.errors import DataError

Rows = np.ndarray[Any, np.dtype[np.int64]]
Folds = Sequence[tuple[Rows, Rows]]

_PARTS = ("train", "val", "test")


def leak_free_split(manifest: pa.Table, *, test: float, seed: int) -> pa.Table:
    """Decide which usable images are kept for the test, where the source does not.

    Each group goes as a whole to one side by a hash of its content, so that copies never
    straddle the split and adding images does not move the old ones. Classes are stratified in
    expectation; a class of at least two groups always has one on each side, which is the one
    case in which a new image can move an old one.

    Args:
        manifest: With `label` and `group` for every usable image.
        test: Share of the images to keep for the test, 0 to below 1.
        seed: Gives another split.

    Returns:
        The manifest with `split` set to "train" or "test" for every usable image.
    """
    rows = manifest.select(["label", "group", "rejected", "split"]).to_pylist()
    used = [number for number, row in enumerate(rows) if row["rejected"] is None]
    draw = {rows[number]["group"]: _draw(rows[number]["group"], seed) for number in used}
    tested = {group for group, value in draw.items() if value < test}
    if test > 0:
        groups_of = defaultdict(set)
        for number in used:
            groups_of[rows[number]["label"]].add(rows[number]["group"])
        for label in sorted(groups_of):
            _put_one_on_each_side(groups_of[label], tested, draw)
    splits: list[str | None] = [None] * len(rows)
    for number in used:
        splits[number] = "test" if rows[number]["group"] in tested else "train"
    return with_column(manifest, "split", splits)


def find_leaks(manifest: pa.Table) -> list[list[str]]:
    """Find groups, copies above all, that a given split has torn apart.

    Returns:
        For each, the images of the group: those of the training part first, then val, then test.
    """
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in manifest.select(["image", "group", "split", "rejected"]).to_pylist():
        if row["rejected"] is None:
            members[row["group"]].append((_PARTS.index(row["split"]), row["image"]))
    torn = [sorted(group) for group in members.values() if len({part for part, _ in group}) > 1]
    return [[image for _, image in group] for group in torn]


def stratified_folds(
    labels: Sequence[int] | Rows, groups: Sequence[str], *, folds: int, seed: int
) -> list[tuple[Rows, Rows]]:
    """Deal training images into folds: classes even, groups whole.

    Args:
        labels: Class number of each image.
        groups: Group of each image.
        folds: How many, at most; fewer if no class has as many images.
        seed: Of the shuffle.

    Returns:
        Pairs of row numbers, (learn from, measure on), each image measured on exactly once.

    Raises:
        DataError: No class has two images of different groups.
    """
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    folds = max(2, min(folds, int(counts.max()), len(set(groups))))
    if counts.max() < 2 or len(set(groups)) < 2:
        raise DataError(
            "No class has two training images of different groups (copies are one group), so "
            "nothing can be held out to choose and calibrate a model. Add images."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, names = np.unique(np.asarray(groups), return_inverse=True)
    with warnings.catch_warnings():
        # A class with fewer images than folds is simply not measured in some of them.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros(len(labels)), np.asarray(labels), names))
    return [(learn, measure) for learn, measure in pairs if len(learn) and len(measure)]


def stratified_sample(labels: Rows, count: int, *, seed: int) -> Rows | None:
    """Draw images, classes in proportion: sorted row numbers, or None if there are no more."""
    if len(labels) <= count:
        return None
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.sort(by_class[np.linspace(0, len(labels) - 1, count).astype(np.int64)])


def _draw(group: str, seed: int) -> float:
    """Give a number in [0, 1) that depends on nothing but the group's content and the seed."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _put_one_on_each_side(groups: set[str], tested: set[str], draw: dict[str, float]) -> None:
    if len(groups) < 2:
        tested -= groups
    elif not groups & tested:
        tested.add(min(groups, key=draw.__getitem__))
    elif groups <= tested:
        tested.discard(max(groups, key=draw.__getitem__))
