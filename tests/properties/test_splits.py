"""Properties of every split, whatever the images."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.data.manifest import Entry, FileInfo, build_manifest
from headstart.data.splits import (
    find_leaks,
    iterative_folds,
    leak_free_split,
    rarest_label,
    stratified_folds,
)
from headstart.errors import DataError
from tests.conftest import TASK

Row = tuple[str, str]

few = settings(max_examples=60, deadline=None)
shares = st.sampled_from([0.05, 0.2, 0.5, 0.9])
seeds = st.integers(0, 1000)
# Pairs of label and group; a group belongs to one label.
rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 12)).map(lambda r: (r[0], f"{r[0]}{r[1]}")),
    min_size=1,
    max_size=40,
)
mixed_rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 12).map(str)), min_size=1, max_size=40
)


def manifest(images: list[Row]) -> pa.Table:
    """Create a manifest of usable images."""
    entries = [
        Entry(str(number), str(number), label, group=group)
        for number, (label, group) in enumerate(images)
    ]
    return build_manifest(entries, [FileInfo()] * len(images))


def sides(images: list[Row], test: float, seed: int) -> dict[Row, str]:
    """Map each pair of label and group to its side of the split."""
    table = leak_free_split(manifest(images), task=TASK, test=test, seed=seed)
    return dict(zip(images, table["split"].to_pylist(), strict=True))


@few
@given(mixed_rows, shares, seeds)
def test_the_split_is_deterministic(images: list[Row], test: float, seed: int) -> None:
    """The same images in any order give the same split."""
    assert sides(images, test, seed) == sides(images[::-1], test, seed)


@few
@given(mixed_rows, shares, seeds)
def test_groups_never_span_the_split(images: list[Row], test: float, seed: int) -> None:
    """Each group is entirely on one side, even if it has several labels."""
    table = leak_free_split(manifest(images), task=TASK, test=test, seed=seed)
    assert find_leaks(table) == []
    assert table["split"].null_count == 0
    parts = defaultdict(set)
    for (_, group), part in zip(images, table["split"].to_pylist(), strict=True):
        parts[group].add(part)
    assert all(len(part) == 1 for part in parts.values())


@few
@given(rows, rows, shares, seeds)
def test_images_of_new_classes_move_no_image(
    images: list[Row], more: list[Row], test: float, seed: int
) -> None:
    """The split of the old classes is unchanged."""
    added = [(f"new {label}", f"new {group}") for label, group in more]
    before, after = sides(images, test, seed), sides(added + images, test, seed)
    assert {row: after[row] for row in before} == before


@few
@given(rows, rows, shares, seeds)
def test_more_images_of_the_same_classes_move_at_most_one_group(
    images: list[Row], more: list[Row], test: float, seed: int
) -> None:
    """Per class, only the group that was moved to cover both sides may move back."""
    added = [(label, f"new {group}") for label, group in more]
    before, after = sides(images, test, seed), sides(images + added, test, seed)
    moved = defaultdict(set)
    for (label, group), part in before.items():
        if after[label, group] != part:
            moved[label].add(group)
    assert all(len(groups) == 1 for groups in moved.values())


@few
@given(rows, shares, seeds)
def test_both_sides_have_every_class_of_two_groups(
    images: list[Row], test: float, seed: int
) -> None:
    """A class of one group is only in the training part; any larger class is also tested."""
    found = defaultdict(set)
    groups = defaultdict(set)
    for (label, group), part in sides(images, test, seed).items():
        found[label].add(part)
        groups[label].add(group)
    for label, parts in found.items():
        assert parts == ({"train", "test"} if len(groups[label]) > 1 else {"train"})


@few
@given(mixed_rows, st.integers(2, 6), seeds)
def test_folds_keep_groups_whole(images: list[Row], folds: int, seed: int) -> None:
    """No group is both in training and held out in a fold; no image is held out twice."""
    groups = [group for _, group in images]
    labels = [ord(label) for label, _ in images]
    assume(len(set(groups)) > 1 and len(set(labels)) < len(labels))
    seen: list[int] = []
    for train, held_out in stratified_folds(labels, groups, folds=folds, seed=seed):
        assert not {groups[row] for row in train} & {groups[row] for row in held_out}
        seen += held_out.tolist()
    assert len(seen) == len(set(seen))


@few
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([1, 0, -1]), min_size=3, max_size=3), st.integers(0, 9)),
        min_size=2,
        max_size=40,
    ),
    st.integers(2, 6),
    seeds,
)
def test_iterative_folds_keep_groups_whole(
    images: list[tuple[list[int], int]], folds: int, seed: int
) -> None:
    """Each image is held out once, no group is on both sides, and no held-out part is empty."""
    targets, groups = np.array([labels for labels, _ in images]), [str(g) for _, g in images]
    try:
        pairs = iterative_folds(targets, groups, folds=folds, seed=seed)
    except DataError:
        assume(False)
    assert 2 <= len(pairs) <= folds
    assert sorted(np.concatenate([held_out for _, held_out in pairs])) == list(range(len(images)))
    for train, held_out in pairs:
        assert len(held_out)
        assert not {groups[row] for row in train} & {groups[row] for row in held_out}
    strata = rarest_label(targets)
    assert all(targets[row, label] == 1 for row, label in enumerate(strata) if label < 3)
    assert all((targets[row] < 1).all() for row, label in enumerate(strata) if label == 3)
