"""Split images into training and test images, and into folds, without leaks."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from headstart.arrays import Flags, Folds, Numbers, Rows, Targets
from headstart.data.manifest import with_column
from headstart.errors import DataError
from headstart.task import Task

_PARTS = ("train", "val", "test")
# With so many groups, their sizes even out.
_MANY_GROUPS = 500


def leak_free_split(manifest: pa.Table, *, task: Task, test: float, seed: int) -> pa.Table:
    """Hold out test images, if the source has no test part.

    A validation part stays as it is, and images of a group that reaches into it are not drawn.

    A hash of its content assigns each group as a whole to one side, so that duplicates never span
    the split and adding images does not move the old ones. Classes are balanced in expectation. A
    class with images in at least two groups has one on each side, unless this would take it from
    another class; only to ensure this can a new image move an old one.

    Args:
        manifest: A manifest with `label` and `group` for every usable image.
        task: The kind of label, which says which classes are present in an image.
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
        groups_of = _groups_of_classes(rows, used, task)
        for number in sorted(groups_of):
            _put_one_on_each_side(groups_of[number], tested, position)
        _repair(groups_of, tested, position)
    splits: list[str | None] = [row["split"] if _is_usable(row) else None for row in rows]
    for number in free:
        splits[number] = "test" if rows[number]["group"] in tested else "train"
    return with_column(manifest, "split", splits)


def _groups_of_classes(
    rows: Sequence[Mapping[str, str]], used: Sequence[int], task: Task
) -> dict[int, set[str]]:
    """Return the groups of the images of each class; those of images without any are class -1."""
    labels = [rows[number]["label"] for number in used]
    targets = task.targets(labels, task.classes(labels))
    groups_of: dict[int, set[str]] = defaultdict(set)
    for place, number in enumerate(used):
        for present in task.present(targets[place : place + 1]) or {-1}:
            groups_of[present].add(rows[number]["group"])
    return groups_of


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

    Of many groups, as many of each stratum are held out in each fold. Of few groups, which may
    differ in size, as many images are, as far as possible; that takes half a millisecond for each
    group.

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
    stratum = np.asarray(strata)
    _, first, names = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    with warnings.catch_warnings():
        # A stratum with fewer images than folds is missing from some of the held-out parts.
        warnings.filterwarnings("ignore", message="The least populated class")
        if len(first) > _MANY_GROUPS and np.bincount(stratum[first]).max() >= folds:
            fold_of = np.empty(len(first), dtype=np.int64)
            splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
            for number, (_, held_out) in enumerate(splitter.split(first, stratum[first])):
                fold_of[held_out] = number
            is_in = [fold_of[names] == number for number in range(folds)]
            return [(np.flatnonzero(~held_out), np.flatnonzero(held_out)) for held_out in is_in]
        whole = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        pairs = list(whole.split(np.zeros(len(stratum)), stratum, names))
    return [(train, held_out) for train, held_out in pairs if len(train) and len(held_out)]


def held_out_groups(groups: Sequence[str], share: float, *, seed: int) -> Flags:
    """Hold out images by a hash of their group, so that groups stay whole; one flag per image.

    Args:
        groups: Group of each image.
        share: Share of the groups to hold out.
        seed: Seed of the hash. It is another one than that of `leak_free_split`.

    Raises:
        DataError: All of the groups or none are held out.
    """
    flags = np.array([_position(f"held out:{group}", seed) < share for group in groups])
    if flags.all() or not flags.any():
        raise DataError(
            f"The training images are of {len(set(groups)):,} groups (duplicates form one group), "
            "which is too few to hold some out. Add images."
        )
    return flags


def iterative_folds(targets: Targets, groups: Sequence[str], *, folds: int, seed: int) -> Folds:
    """Split images with several labels into folds that keep groups whole.

    The images with and without each label are spread evenly, the rarest first; images for which
    the label is unknown do not count. Where all groups are single images, this is the algorithm of
    Sechidis et al. (2011), "On the Stratification of Multi-Label Data".

    Args:
        targets: 1 for a label that is present, 0 absent, -1 unknown, shape (images, classes).
        groups: Group of each image.
        folds: Maximum number of folds; fewer if there are fewer groups.
        seed: Seed of the order in which equal images are assigned.

    Returns:
        Pairs of rows (training, held out); each image is held out exactly once.

    Raises:
        DataError: No label is present in images of two different groups.
    """
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(members)
    counts = _counts_of_groups(targets, members, len(sizes))
    if (counts[:, : targets.shape[1]] > 0).sum(axis=0).max(initial=0) < 2:
        raise DataError(
            "No label is present in training images of two different groups (duplicates form one "
            "group), so nothing can be held out to choose and calibrate a model. Add images."
        )
    fold_of = _assign(counts, sizes, min(max(2, folds), len(sizes)), seed)[members]
    pairs = [(fold_of != fold, fold_of == fold) for fold in range(fold_of.max() + 1)]
    rows = [(np.flatnonzero(train), np.flatnonzero(held_out)) for train, held_out in pairs]
    return [(train, held_out) for train, held_out in rows if len(train) and len(held_out)]


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


def rarest_label(targets: Targets) -> Rows:
    """Return the stratum of each image with several labels: the rarest of those present.

    Args:
        targets: 1 for a label that is present, 0 absent, -1 unknown, shape (images, classes).

    Returns:
        Class numbers, shape (images,); the number of classes for an image with none present.
    """
    present = targets == 1
    counts = present.sum(axis=0)
    order = np.argsort(counts, kind="stable")
    ranked = np.concatenate([present[:, order], np.ones((len(targets), 1), np.bool_)], axis=1)
    return np.asarray(np.append(order, len(order))[ranked.argmax(axis=1)])


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


def _repair(
    groups_of: Mapping[int, set[str]], tested: set[str], position: Mapping[str, float]
) -> None:
    """Put one on each side for classes of which others, with shared groups, have taken theirs.

    Small classes come first: a repair takes no group that a smaller class needs where it is.
    """
    ranked = sorted(groups_of, key=lambda number: (len(groups_of[number]), number))
    classes_of: dict[str, list[int]] = defaultdict(list)
    for rank, number in enumerate(ranked):
        for group in groups_of[number]:
            classes_of[group].append(rank)
    sizes = [len(groups_of[number]) for number in ranked]
    held_out = [len(groups_of[number] & tested) for number in ranked]

    def cost(group: str, step: int) -> float:
        """Return the smallest class that would lose its last group on a side, as a cost."""
        return -min(
            (
                rank
                for rank in classes_of[group]
                if _is_divided(held_out[rank], sizes[rank])
                and not _is_divided(held_out[rank] + step, sizes[rank])
            ),
            default=len(ranked),
        )

    for rank, number in enumerate(ranked):
        if _is_divided(held_out[rank], sizes[rank]):
            continue
        step = -1 if held_out[rank] else 1
        groups = sorted(groups_of[number], key=lambda group: step * position[group])
        best = min(groups, key=lambda group: cost(group, step))
        if cost(best, step) < -rank:
            tested ^= {best}
            for other in classes_of[best]:
                held_out[other] += step


def _is_divided(held_out: int, groups: int) -> bool:
    """Return whether some groups are held out and some are not; of a single one, none is."""
    return held_out == 0 if groups < 2 else 0 < held_out < groups


def _counts_of_groups(targets: Targets, members: Rows, groups: int) -> Rows:
    """Return the images of each group with each label, then those without: (groups, 2 classes)."""
    known = np.concatenate([targets == 1, targets == 0], axis=1).astype(np.int64)
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(groups))
    return np.asarray(np.add.reduceat(known[order], starts, axis=0))


def _assign(counts: Rows, sizes: Rows, folds: int, seed: int) -> Rows:
    """Return the fold of each group.

    Args:
        counts: The number of images of each group with and without each label.
        sizes: The number of images of each group.
        folds: The number of folds.
        seed: Seed of the order of equal groups.
    """
    fold_of = np.full(len(sizes), -1)
    wanted = np.tile(counts.sum(axis=0) / folds, (folds, 1))
    room = np.full(folds, sizes.sum() / folds)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    while len(left := shuffled[fold_of[shuffled] < 0]):
        remaining = counts[left].sum(axis=0)
        rarest = int(np.where(remaining, remaining, remaining.max() + 1).argmin())
        chosen = left[counts[left, rarest] > 0] if remaining.any() else left
        for group in chosen[np.lexsort((-sizes[chosen], -counts[chosen, rarest]))].tolist():
            fold = _neediest(wanted, wanted[:, rarest], counts[group], room)
            wanted[fold] -= counts[group]
            room[fold] -= sizes[group]
            fold_of[group] = fold
    return fold_of


def _neediest(wanted: Numbers, demand: Numbers, counts: Rows, room: Numbers) -> int:
    """Return the fold that lacks most images of a group's rarest label, or else of all its labels.

    Args:
        wanted: The images that each fold still wants, shape (folds, 2 classes).
        demand: The column of the rarest label.
        counts: The images of the group, shape (2 classes,).
        room: The images of any kind that each fold still wants, shape (folds,).
    """
    keys = zip(demand.tolist(), (wanted @ counts).tolist(), room.tolist(), strict=True)
    return max(enumerate(keys), key=lambda fold: fold[1])[0]
