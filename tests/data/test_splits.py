"""Splits keep groups whole and stratify classes, and leaks are found."""

import numpy as np
import pyarrow as pa
import pytest

from headstart.data.labels import write_labels
from headstart.data.manifest import Entry, FileInfo, build_manifest
from headstart.data.splits import (
    find_leaks,
    iterative_folds,
    leak_free_split,
    rarest_label,
    stratified_folds,
    stratified_sample,
)
from headstart.errors import DataError
from tests.conftest import TASK
from tests.data.several import Several


def manifest(*rows: tuple[str, str], split: str | None = None) -> pa.Table:
    """Create a manifest from pairs of label and group."""
    entries = [
        Entry(f"{number}.png", f"/{number}.png", label, split, group)
        for number, (label, group) in enumerate(rows)
    ]
    return build_manifest(entries, [FileInfo(sha256=str(number)) for number in range(len(rows))])


def split_of(table: pa.Table, test: float = 0.2, seed: int = 0) -> list[str | None]:
    """Return each row's split."""
    return leak_free_split(table, task=TASK, test=test, seed=seed)["split"].to_pylist()


@pytest.mark.parametrize("test", [0.1, 0.2, 0.5])
def test_a_large_sample_is_close_to_the_share_in_every_class(test: float) -> None:
    """Of 3,000 images in a large and a small class, the share of each is held out."""
    rows = [("big" if number % 5 else "small", f"g{number}") for number in range(3000)]
    parts = split_of(manifest(*rows), test)
    for label in ("big", "small"):
        splits = [part for part, (name, _) in zip(parts, rows, strict=True) if name == label]
        assert abs(splits.count("test") / len(splits) - test) < 0.05
    assert set(parts) == {"train", "test"}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("test", [0.01, 0.5, 0.99])
def test_a_class_of_two_groups_has_one_on_each_side(seed: int, test: float) -> None:
    """Whatever the seed, the class is on both sides."""
    parts = split_of(manifest(("a", "g1"), ("a", "g1"), ("a", "g2")), test, seed)
    assert set(parts) == {"train", "test"}
    assert parts[0] == parts[1]


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_one_group_is_used_for_training(seed: int) -> None:
    """A group that cannot be on both sides is in the training part."""
    assert split_of(manifest(("a", "g1"), ("a", "g1")), 0.9, seed) == ["train", "train"]


def test_a_test_share_of_zero_holds_nothing_out() -> None:
    """test=0 keeps every image for training."""
    assert set(split_of(manifest(*(("a", f"g{n}") for n in range(50))), 0.0)) == {"train"}


def test_the_seed_determines_the_split() -> None:
    """The same seed gives the same split, another seed a different one."""
    table = manifest(*(("a", f"g{number}") for number in range(100)))
    assert split_of(table, seed=1) == split_of(table, seed=1) != split_of(table, seed=2)


def test_rejected_images_are_not_split() -> None:
    """Their split stays empty, and they do not count."""
    entries = [Entry("1", "1", "a", group="g1"), Entry("2", "2", "a", rejected="bad")]
    assert split_of(build_manifest(entries, [FileInfo(), FileInfo()])) == ["train", None]


def test_only_the_split_is_changed() -> None:
    """All other columns are unchanged."""
    table = manifest(("a", "g1"), ("b", "g2"))
    changed = leak_free_split(table, task=TASK, test=0.2, seed=0)
    assert changed.drop_columns("split").equals(table.drop_columns("split"))


def given(*rows: tuple[str, str, str | None]) -> pa.Table:
    """Create a manifest from image, group and split; images without a split are rejected."""
    entries = [
        Entry(image, image, "a", split, group, None if split else "bad")
        for image, group, split in rows
    ]
    return build_manifest(entries, [FileInfo()] * len(rows))


def test_leaks_are_named_training_first() -> None:
    """A group that spans the split is a leak; a group on one side is not."""
    table = given(
        ("t1", "g1", "test"),
        ("l1", "g1", "train"),
        ("t2", "g2", "test"),
        ("t3", "g2", "test"),
        ("l2", "g3", "train"),
        ("v1", "g4", "val"),
        ("t4", "g4", "test"),
    )
    assert find_leaks(table) == [["l1", "t1"], ["v1", "t4"]]


def test_rejected_images_are_not_leaks() -> None:
    """An image that is not used cannot leak into the test part."""
    assert find_leaks(given(("l", "g1", "train"), ("t", "g1", None))) == []


def test_folds_hold_out_each_image_once_and_keep_groups_whole() -> None:
    """Every image is held out in exactly one fold, and no group spans two folds."""
    labels = np.arange(60) % 3
    groups = [f"g{number // 2}" for number in range(60)]
    pairs = stratified_folds(labels, groups, folds=5, seed=0)
    assert len(pairs) == 5
    assert sorted(np.concatenate([held_out for _, held_out in pairs])) == list(range(60))
    for train, held_out in pairs:
        assert sorted([*train, *held_out]) == list(range(60))
        assert not {groups[row] for row in train} & {groups[row] for row in held_out}


def test_folds_are_stratified() -> None:
    """Each fold has its share of a rare class."""
    labels = np.array([0] * 90 + [1] * 10)
    pairs = stratified_folds(labels, [str(row) for row in range(100)], folds=5, seed=0)
    assert [int(labels[held_out].sum()) for _, held_out in pairs] == [2] * 5


def test_folds_are_the_same_for_the_same_seed() -> None:
    """Only the seed determines the folds."""
    labels, groups = np.arange(40) % 2, [str(row) for row in range(40)]

    def held_out_rows(seed: int) -> list[list[int]]:
        return [list(rows) for _, rows in stratified_folds(labels, groups, folds=4, seed=seed)]

    assert held_out_rows(3) == held_out_rows(3) != held_out_rows(4)


def test_few_images_give_fewer_folds() -> None:
    """With three images per class there are three folds, and with two groups two."""
    labels = np.arange(6) % 2
    assert len(stratified_folds(labels, [str(row) for row in range(6)], folds=5, seed=0)) == 3
    halves = ["x", "x", "x", "x", "y", "y"]
    assert len(stratified_folds(labels, halves, folds=5, seed=0)) == 2


def test_a_class_of_one_image_is_split_without_a_warning() -> None:
    """A rare class does not put scikit-train's warning on the user's terminal."""
    labels = [0] * 10 + [1]
    pairs = stratified_folds(labels, [str(row) for row in range(11)], folds=5, seed=0)
    assert sorted(np.concatenate([held_out for _, held_out in pairs])) == list(range(11))


def test_one_image_of_each_class_is_an_error() -> None:
    """Nothing can be held out if each class has a single image."""
    with pytest.raises(DataError):
        stratified_folds([0, 1, 2], ["x", "y", "z"], folds=5, seed=0)


def test_a_sample_keeps_classes_in_proportion():
    """A sample of a tenth has a tenth of each class, and the same seed gives the same sample."""
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    sample = stratified_sample(labels, 100, seed=3)
    assert np.abs(np.bincount(labels[sample]) - [70, 20, 10]).max() <= 1
    assert len(set(sample.tolist())) == 100
    np.testing.assert_array_equal(sample, stratified_sample(labels, 100, seed=3))
    assert stratified_sample(labels, 1000, seed=3) is None


def sides(*rows: tuple[str, str], test: float, seed: int) -> dict[str, set[str]]:
    """Return the sides of the split on which each letter of the rows' labels is present."""
    written = [(write_labels(dict.fromkeys(labels, True)), group) for labels, group in rows]
    table = leak_free_split(manifest(*written), task=Several(), test=test, seed=seed)
    found: dict[str, set[str]] = {}
    for (labels, _), part in zip(rows, table["split"].to_pylist(), strict=True):
        for letter in labels or "-":
            found.setdefault(letter, set()).add(part)
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("test", [0.01, 0.5, 0.99])
def test_each_of_several_labels_is_on_both_sides(seed: int, test: float) -> None:
    """Also a label that is never the rarest, and having none; a label of one group is trained."""
    rows = [("ax", "g1"), ("bx", "g2"), ("cd", "g3"), ("cd", "g4"), ("cx", "g5"), ("", "g6")]
    found = sides(*rows, ("", "g7"), test=test, seed=seed)
    assert found["a"] == found["b"] == {"train"}
    assert found["c"] == found["d"] == found["x"] == found["-"] == {"train", "test"}


@pytest.mark.parametrize("seed", range(20))
def test_a_label_does_not_take_the_only_test_image_of_another(seed: int) -> None:
    """Three labels of two groups each, of which any two share one, cannot all be on both sides."""
    found = sides(("ab", "g1"), ("bc", "g2"), ("ca", "g3"), test=0.5, seed=seed)
    assert sorted(len(parts) for parts in found.values()) == [1, 2, 2]


def test_the_rarest_label_is_the_stratum() -> None:
    """Unknown labels are not present; images without any form a stratum of their own."""
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, -1, 0], [0, 0, 1]])
    assert rarest_label(targets).tolist() == [1, 0, 2, 3, 2]
    assert rarest_label(targets[:0]).tolist() == []


def random_targets(images: int, labels: int, unknown: float = 0.0) -> np.ndarray:
    """Draw labels, from rare to frequent ones."""
    rng = np.random.default_rng(0)
    targets = (rng.random((images, labels)) < np.geomspace(0.02, 0.5, labels)).astype(np.int64)
    targets[rng.random(targets.shape) < unknown] = -1
    return targets


def counts_of_folds(targets: np.ndarray, groups: list[str], value: int) -> np.ndarray:
    """Return how often each label has a value in each held-out part of five, (folds, labels)."""
    folds = iterative_folds(targets, groups, folds=5, seed=0)
    return np.array([(targets[held_out] == value).sum(axis=0) for _, held_out in folds])


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_iterative_folds_spread_each_label_evenly(unknown: float) -> None:
    """Of single images, the positives of each label differ by one, and the negatives by few."""
    targets = random_targets(500, 14, unknown)
    single = [str(row) for row in range(500)]
    assert np.ptp(counts_of_folds(targets, single, 1), axis=0).max() <= 1
    assert np.ptp(counts_of_folds(targets, single, 0), axis=0).max() <= 15
    sizes = [len(rows) for _, rows in iterative_folds(targets, single, folds=5, seed=0)]
    assert max(sizes) - min(sizes) <= 8


def test_iterative_folds_spread_groups() -> None:
    """Images of one patient stay together, and the rarest labels are still spread."""
    targets = random_targets(600, 6)
    groups = [str(row % 200) for row in range(600)]
    folds = iterative_folds(targets, groups, folds=5, seed=0)
    assert len(folds) == 5
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(600))
    for train, held_out in folds:
        assert sorted([*train, *held_out]) == list(range(600))
        assert not {groups[row] for row in train} & {groups[row] for row in held_out}
    spread = np.ptp(counts_of_folds(targets, groups, 1), axis=0)
    assert spread[0] <= 1
    assert spread.max() <= 12


def test_iterative_folds_spread_known_negatives() -> None:
    """A label that is mostly unknown has both kinds of its few values in every fold."""
    targets = np.full((100, 1), -1)
    targets[:50], targets[50:55] = 1, 0
    single = [str(row) for row in range(100)]
    assert counts_of_folds(targets, single, 0).ravel().tolist() == [1] * 5
    assert counts_of_folds(targets, single, 1).ravel().tolist() == [10] * 5
    assert [len(rows) for _, rows in iterative_folds(targets, single, folds=5, seed=0)] == [20] * 5


def test_iterative_folds_are_the_same_for_the_same_seed() -> None:
    """Only the seed determines the folds."""
    targets, single = random_targets(60, 3), [str(row) for row in range(60)]

    def held_out_rows(seed: int) -> list[list[int]]:
        return [rows.tolist() for _, rows in iterative_folds(targets, single, folds=3, seed=seed)]

    assert held_out_rows(3) == held_out_rows(3) != held_out_rows(4)


def test_few_groups_give_fewer_iterative_folds() -> None:
    """Three groups give three folds, however many are asked for."""
    targets = np.array([[1], [1], [0], [0], [1]])
    assert len(iterative_folds(targets, ["x", "x", "y", "y", "z"], folds=5, seed=0)) == 3


@pytest.mark.parametrize("groups", ["xxyy", "xxxx"])
def test_iterative_folds_need_a_label_in_two_groups(groups: str) -> None:
    """Nothing can be held out if each label is present in one group only."""
    with pytest.raises(DataError, match=r"^No label is present in training images of two diff"):
        iterative_folds(np.array([[1, 0], [1, 0], [0, 1], [0, -1]]), list(groups), folds=5, seed=0)
