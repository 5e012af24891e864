"""Split images into training and test images, and into folds, without leaks."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

from headstart.arrays import Folds, Rows
from headstart.data.manifest import with_column
from headstart.errors import DataError
from headstart.task import Task

_PARTS = ("train", "val", "test")


def leak_free_split(manifest: pa.Table, *, task: Task, test: float, seed: int) -> pa.Table:
    """Hold out test images, if the source has no test part.

    A validation part stays as it is, and images of a group that reaches into it are not drawn.

    A hash of its content assigns each group as a whole to one side, so that duplicates never span
    the split and adding images does not move the old ones. Strata are balanced in expectation. A
    stratum of at least two groups always has one on each side; only to ensure this can a new image
    move an old one.

    Args:
        manifest: A manifest with `label` and `group` for every usable image.
        task: The kind of label, which defines the strata.
        test: Share of the images to hold out as test images, 0 to below 1.
        seed: Seed of the split.

    Returns:
        The manifest with `split` set for every usable image.
    """
    rows = manifest.select(["label", "group", "split", "rejected"]).to_pylist()
    kept = {row["group"] for row in rows if _is_usable(row) and row["split"] == "val"}
    free = [n for n, row in enumerate(rows) if _is_usable(row) and row["split"] != "val"]
    used = [number for number in free if rows[number]["group"] not in kept]
    position = {rows[number]["group"]: _position(rows[number]["group"], seed) for number in used}
    tested = {group for group, value in position.items() if value < test}
    if test > 0:
        groups_of = defaultdict(set)
        labels = [rows[number]["label"] for number in used]
        strata = task.strata(task.targets(labels, task.classes(labels)))
        for number, stratum in zip(used, strata.tolist(), strict=True):
            groups_of[stratum].add(rows[number]["group"])
        for stratum in sorted(groups_of):
            _put_one_on_each_side(groups_of[stratum], tested, position)
    splits: list[str | None] = [row["split"] if _is_usable(row) else None for row in rows]
    for number in free:
        splits[number] = "test" if rows[number]["group"] in tested else "train"
    return with_column(manifest, "split", splits)


def _is_usable(row: Mapping[str, str | None]) -> bool:
    return row["rejected"] is None


def find_leaks(manifest: pa.Table) -> list[list[str]]:
    """Find groups, mostly of duplicates, that span the given split.

    Returns:
        The images of each such group: training images first, then validation, then test.
    """
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in manifest.select(["image", "group", "split", "rejected"]).to_pylist():
        if row["rejected"] is None:
            members[row["group"]].append((_PARTS.index(row["split"]), row["image"]))
    leaks = [sorted(group) for group in members.values() if len({part for part, _ in group}) > 1]
    return [[image for _, image in group] for group in leaks]


def stratified_folds(
    strata: Sequence[int] | Rows, groups: Sequence[str], *, folds: int, seed: int
) -> Folds:
    """Split training images into stratified folds that keep groups whole.

    Args:
        strata: Stratum of each image, see `Task.strata`.
        groups: Group of each image.
        folds: Maximum number of folds; fewer if no stratum has that many images.
        seed: Seed of the shuffle.

    Returns:
        Pairs of rows (training, held out); each image is held out exactly once.

    Raises:
        DataError: No stratum has two images of different groups.
    """
    _, counts = np.unique(np.asarray(strata), return_counts=True)
    folds = max(2, min(folds, int(counts.max()), len(set(groups))))
    if counts.max() < 2 or len(set(groups)) < 2:
        raise DataError(
            "No class has two training images in different groups (duplicates form one group), so "
            "nothing can be held out to choose and calibrate a model. Add images."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, names = np.unique(np.asarray(groups), return_inverse=True)
    with warnings.catch_warnings():
        # A stratum with fewer images than folds is missing from some of the held-out parts.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros(len(strata)), np.asarray(strata), names))
    return [(train, held_out) for train, held_out in pairs if len(train) and len(held_out)]


def stratified_sample(strata: Rows, count: int, *, seed: int) -> Rows | None:
    """Draw a stratified sample of images.

    Returns:
        Sorted rows, or None if there are at most `count` images.
    """
    if len(strata) <= count:
        return None
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    return np.sort(by_stratum[np.linspace(0, len(strata) - 1, count).astype(np.int64)])


def _position(group: str, seed: int) -> float:
    """Hash the group's name and the seed to a number in [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _put_one_on_each_side(groups: set[str], tested: set[str], position: dict[str, float]) -> None:
    if len(groups) < 2:
        tested -= groups
    elif not groups & tested:
        tested.add(min(groups, key=position.__getitem__))
    elif groups <= tested:
        tested.discard(max(groups, key=position.__getitem__))
