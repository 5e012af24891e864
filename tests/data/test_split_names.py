"""The usual names of the parts of a split are understood; other names are not."""

import pytest

from headstart.data.split_names import split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("training_set", "train"),
        ("TrainSet", "train"),
        ("trainset", "train"),
        ("images-train", "train"),
        ("train2017", "train"),
        ("val", "val"),
        ("VALIDATION", "val"),
        ("valid", "val"),
        ("dev", "val"),
        ("test", "test"),
        ("Test Set", "test"),
        ("test_images", "test"),
        ("holdout", "test"),
    ],
)
def test_a_part_is_understood(name: str, split: str) -> None:
    """Case, separators, numbers and words such as "set" do not matter."""
    assert split_of(name) == split


@pytest.mark.parametrize(
    "name",
    [
        *("", "cat", "set", "data", "trains", "testudo", "train_test", "validator"),
        *("images to predict", "test_date", "training day", "42"),
    ],
)
def test_other_names_are_not(name: str) -> None:
    """A name that only begins like a part, or names two of them, is not one."""
    assert split_of(name) is None
