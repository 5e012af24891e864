"""What holds for every split, whatever the images."""

from collections import defaultdict

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.data.manifest import Entry, Facts, manifest_of
from headstart.data.splits import find_leaks, leak_free_split, stratified_folds
from tests.conftest import TASK

Row = tuple[str, str]

modest = settings(max_examples=60, deadline=None)
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
    """Make a manifest of usable images."""
    entries = [
        Entry(str(number), str(number), label, group=group)
        for number, (label, group) in enumerate(images)
    ]
    return manifest_of(entries, [Facts()] * len(images))


def sides(images: list[Row], test: float, seed: int) -> dict[Row, str]:
    """Map each label and group to its side."""
    table = leak_free_split(manifest(images), task=TASK, test=test, seed=seed)
    return dict(zip(images, table["split"].to_pylist(), strict=True))


@modest
@given(mixed_rows, shares, seeds)
def test_the_split_is_deterministic(images: list[Row], test: float, seed: int) -> None:
    """The same images in any order give the same split."""
    assert sides(images, test, seed) == sides(images[::-1], test, seed)


@modest
@given(mixed_rows, shares, seeds)
def test_groups_never_straddle(images: list[Row], test: float, seed: int) -> None:
    """Each group is as a whole on one side, even when it has several labels."""
    table = leak_free_split(manifest(images), task=TASK, test=test, seed=seed)
    assert find_leaks(table) == []
    assert table["split"].null_count == 0
    parts = defaultdict(set)
    for (_, group), part in zip(images, table["split"].to_pylist(), strict=True):
        parts[group].add(part)
    assert all(len(part) == 1 for part in parts.values())


@modest
@given(rows, rows, shares, seeds)
def test_images_of_new_classes_move_nothing(
    images: list[Row], more: list[Row], test: float, seed: int
) -> None:
    """The split of the old classes is the same with more, unrelated images."""
    added = [(f"new {label}", f"new {group}") for label, group in more]
    before, after = sides(images, test, seed), sides(added + images, test, seed)
    assert {row: after[row] for row in before} == before


@modest
@given(rows, rows, shares, seeds)
def test_more_images_of_the_same_classes_move_one_group_at_most(
    images: list[Row], more: list[Row], test: float, seed: int
) -> None:
    """Only the one group of a class that had to be put on the other side may go back."""
    added = [(label, f"new {group}") for label, group in more]
    before, after = sides(images, test, seed), sides(images + added, test, seed)
    moved = defaultdict(set)
    for (label, group), part in before.items():
        if after[label, group] != part:
            moved[label].add(group)
    assert all(len(groups) == 1 for groups in moved.values())


@modest
@given(rows, shares, seeds)
def test_both_sides_have_every_class_of_two_groups(
    images: list[Row], test: float, seed: int
) -> None:
    """A class of one group is learnt from; any larger one is also measured."""
    found = defaultdict(set)
    groups = defaultdict(set)
    for (label, group), part in sides(images, test, seed).items():
        found[label].add(part)
        groups[label].add(group)
    for label, parts in found.items():
        assert parts == ({"train", "test"} if len(groups[label]) > 1 else {"train"})


@modest
@given(mixed_rows, st.integers(2, 6), seeds)
def test_folds_keep_groups_whole(images: list[Row], folds: int, seed: int) -> None:
    """No group is learnt from and measured on in one fold; no image is measured on twice."""
    groups = [group for _, group in images]
    labels = [ord(label) for label, _ in images]
    assume(len(set(groups)) > 1 and len(set(labels)) < len(labels))
    seen: list[int] = []
    for learn, measure in stratified_folds(labels, groups, folds=folds, seed=seed):
        assert not {groups[row] for row in learn} & {groups[row] for row in measure}
        seen += measure.tolist()
    assert len(seen) == len(set(seen))
