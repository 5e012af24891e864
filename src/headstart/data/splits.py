"""Which images are learnt from, and which are only measured on."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

from headstart.arrays import Folds, Rows
from headstart.data.manifest import with_column
from headstart.errors import DataError
from headstart.task import Task

_PARTS = ("train", "val", "test")


def leak_free_split(manifest: pa.Table, *, task: Task, test: float, seed: int) -> pa.Table:
    """Decide which usable images are kept for the test, where the source does not.

    Each group goes as a whole to one side by a hash of its content, so that copies never
    straddle the split and adding images does not move the old ones. Strata are balanced in
    expectation; a stratum of at least two groups always has one on each side, which is the only
    case in which a new image can move an old one.

    Args:
        manifest: With `label` and `group` for every usable image.
        task: Its kind of label, which says what the strata are.
        test: Share of the images to keep for the test, 0 to below 1.
        seed: Gives another split.

    Returns:
        The manifest with `split` set to "train" or "test" for every usable image.
    """
    rows = manifest.select(["label", "group", "rejected"]).to_pylist()
    used = [number for number, row in enumerate(rows) if row["rejected"] is None]
    draw = {rows[number]["group"]: _draw(rows[number]["group"], seed) for number in used}
    tested = {group for group, value in draw.items() if value < test}
    if test > 0:
        groups_of = defaultdict(set)
        labels = [rows[number]["label"] for number in used]
        strata = task.strata(task.targets(labels, task.classes(labels)))
        for number, stratum in zip(used, strata.tolist(), strict=True):
            groups_of[stratum].add(rows[number]["group"])
        for stratum in sorted(groups_of):
            _put_one_on_each_side(groups_of[stratum], tested, draw)
    splits: list[str | None] = [None] * len(rows)
    for number in used:
        splits[number] = "test" if rows[number]["group"] in tested else "train"
    return with_column(manifest, "split", splits)


def find_leaks(manifest: pa.Table) -> list[list[str]]:
    """Find groups, copies above all, that a given split separates.

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
    strata: Sequence[int] | Rows, groups: Sequence[str], *, folds: int, seed: int
) -> Folds:
    """Deal training images into folds: strata even, groups whole.

    Args:
        strata: Stratum of each image, see `Task.strata`.
        groups: Group of each image.
        folds: How many, at most; fewer if no stratum has as many images.
        seed: Of the shuffle.

    Returns:
        Pairs of rows (learn from, measure on), each image measured on exactly once.

    Raises:
        DataError: No stratum has two images of different groups.
    """
    _, counts = np.unique(np.asarray(strata), return_counts=True)
    folds = max(2, min(folds, int(counts.max()), len(set(groups))))
    if counts.max() < 2 or len(set(groups)) < 2:
        raise DataError(
            "No class has two training images of different groups (copies are one group), so "
            "nothing can be held out to choose and calibrate a model. Add images."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, names = np.unique(np.asarray(groups), return_inverse=True)
    with warnings.catch_warnings():
        # A stratum with fewer images than folds is simply not measured in some of them.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros(len(strata)), np.asarray(strata), names))
    return [(learn, measure) for learn, measure in pairs if len(learn) and len(measure)]


def stratified_sample(strata: Rows, count: int, *, seed: int) -> Rows | None:
    """Draw images, strata in proportion: sorted rows, or None if there are no more than that."""
    if len(strata) <= count:
        return None
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    in_order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    return np.sort(in_order[np.linspace(0, len(strata) - 1, count).astype(np.int64)])


def _draw(group: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the group's content and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _put_one_on_each_side(groups: set[str], tested: set[str], draw: dict[str, float]) -> None:
    if len(groups) < 2:
        tested -= groups
    elif not groups & tested:
        tested.add(min(groups, key=draw.__getitem__))
    elif groups <= tested:
        tested.discard(max(groups, key=draw.__getitem__))
