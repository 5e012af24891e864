"""Folders become classes, parts of a split, or nothing, and it is said which; or it is an error."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from headstart.data.layouts import Layout, Node, understand
from headstart.errors import DataError

DATA = Path("photos")


def layout_of(*names: str, known: Sequence[str] = ()) -> Layout:
    """Understand a folder with these files."""
    return understand(DATA, Node.of(tuple(name.split("/")) for name in names), known)


def placed(*names: str, known: Sequence[str] = ()) -> dict[str, tuple[str | None, str | None]]:
    """Return the class and the part of each file that is not left out."""
    layout, files = layout_of(*names, known=known), [tuple(name.split("/")) for name in names]
    return {"/".join(file): layout.place(file) for file in files if not layout.is_left_out(file)}


def test_folders_are_classes() -> None:
    """Deeper folders belong to the class."""
    assert placed("a/1", "b/2", "b/more/3") == {
        "a/1": ("a", None),
        "b/2": ("b", None),
        "b/more/3": ("b", None),
    }


@pytest.mark.parametrize("around", ["PetImages", "x/y", "train"])
def test_folders_around_the_classes_are_entered(around: str) -> None:
    """As in an archive of a folder; files beside it have no class."""
    assert layout_of(f"{around}/a/1", f"{around}/b/2").entered == tuple(around.split("/"))
    assert placed(f"{around}/a/1", f"{around}/b/2", "stray") == {
        f"{around}/a/1": ("a", None),
        f"{around}/b/2": ("b", None),
        "stray": (None, None),
    }


def test_a_single_class_is_not_entered() -> None:
    """A folder around a single folder may be the class itself."""
    assert placed("a/1/x", "a/1/y") == {"a/1/x": ("a", None), "a/1/y": ("a", None)}


def test_a_known_class_is_not_entered() -> None:
    """A model's class may have folders for each year."""
    assert placed("a/2019/x", "a/2020/y", known=("a", "b")) == {
        "a/2019/x": ("a", None),
        "a/2020/y": ("a", None),
    }


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("training_set", "test_set"), ("Train", "VALID"), ("tr/images", "te")],
)
def test_splits(train: str, test: str) -> None:
    """The folders of the parts hold those of the classes."""
    if test == "te":
        train, test = "train/images", "test/images"
    split = "val" if test == "VALID" else "test"
    assert placed(f"{train}/a/1", f"{train}/b/2", f"{test}/a/3", f"{test}/b/4") == {
        f"{train}/a/1": ("a", "train"),
        f"{train}/b/2": ("b", "train"),
        f"{test}/a/3": ("a", split),
        f"{test}/b/4": ("b", split),
    }


def test_splits_below_classes() -> None:
    """Each class folder holds the folders of the parts."""
    assert placed("a/train/1", "a/test/2", "b/train/3", "b/test/4") == {
        "a/train/1": ("a", "train"),
        "a/test/2": ("a", "test"),
        "b/train/3": ("b", "train"),
        "b/test/4": ("b", "test"),
    }


@pytest.mark.parametrize("extra", ["images to predict/5", "new/deep/5", "test/5"])
def test_an_unlabelled_folder_is_left_out(extra: str) -> None:
    """It is neither a class nor a labelled part of the split."""
    layout = layout_of("train/a/1", "train/b/2", "val/a/3", "val/b/4", extra)
    assert layout.left_out == {(extra.split("/")[0],): 1}
    assert dict(layout.splits) == {"train": "train", "val": "val"}


def test_an_unlabelled_test_folder_beside_train() -> None:
    """As in many competitions: test images are held out from the labelled ones then."""
    layout = layout_of("train/a/1", "train/b/2", "test/3", "test/4")
    assert (layout.entered, dict(layout.splits), layout.left_out) == (
        ("train",),
        {},
        {("test",): 2},
    )


@pytest.mark.parametrize(
    "names",
    [
        ("train/a/1", "test/a/2", "more/a/3"),
        ("train/Cat/1", "train/Dog/2", "test/Cat/3", "photos/cat/4"),
        ("train/a/1", "train/b/2", "bus/3"),
        ("test/a/1", "test/b/2", "photos/x/3"),
        ("site1/a/1", "site1/b/2", "site2/a/3", "site2/b/4"),
        ("site1/a/1", "site1/b/2", "site2/A/3", "site2/B/4", "site2/c/5"),
        ("x/train/1", "x/masks/2", "y/train/3", "y/masks/4"),
        ("train/s1/a/1", "train/s1/b/2", "train/s2/a/3", "train/s2/b/4", "test/s1/a/5"),
    ],
)
def test_what_is_unclear_is_an_error(names: Sequence[str]) -> None:
    """Parts of data are never trained on as classes."""
    with pytest.raises(DataError, match="photos"):
        layout_of(*names)


def test_the_message_names_both_kinds_of_folders() -> None:
    """It says what is unclear and what to do."""
    with pytest.raises(DataError) as caught:
        layout_of("site1/cat/1", "site1/dog/2", "site2/cat/3", "site2/dog/4")
    assert str(caught.value) == (
        "It is unclear which folders in 'photos' name the classes: 'site1', 'site2' hold the same "
        "folders ('cat', 'dog'). If they are parts of a split, name them train, val and test. If "
        "their folders are the classes, put all images of a class into one folder. Or pass a CSV "
        "file with the columns path and label."
    )


@pytest.mark.parametrize(
    "names",
    [
        ("train/1", "bus/2", "tram/3"),
        ("test/1", "real/2"),
        ("a/images/1", "b/images/2"),
        ("a/1", "a/2", "a/left/3", "b/4", "b/5", "b/left/6"),
        ("a/2019/1", "a/2020/2", "b/x/3", "b/y/4"),
    ],
)
def test_names_of_parts_may_be_classes(names: Sequence[str]) -> None:
    """Folders without class folders in them, or with different ones, are classes."""
    assert {name: label for name, (label, _) in placed(*names).items()} == {
        name: name.split("/")[0] for name in names
    }


def test_a_split_is_not_looked_for_below_the_classes_of_a_model() -> None:
    """The model knows what its classes are."""
    assert placed("train/x/1", "bus/2", known=("train", "bus")) == {
        "train/x/1": ("train", None),
        "bus/2": ("bus", None),
    }


@pytest.mark.parametrize(
    ("names", "example"),
    [(("test/1", "train/2"), "test/cat"), (("Train/1",), "Train/cat"), (("val/1",), "val/cat")],
)
def test_parts_without_class_folders_are_an_error(names: Sequence[str], example: str) -> None:
    """They are not classes of their own, as in the folders of a competition."""
    folders = ", ".join(f"'{name.split('/')[0]}'" for name in names)
    with pytest.raises(DataError) as caught:
        layout_of(*names)
    assert str(caught.value) == (
        f"'photos' has no class folders: its only folders, {folders}, are named like parts of a "
        "split and have none in them. Put each image into a folder named after its class, such as "
        f"'{example}/1.jpg', or pass a CSV file with the columns 'path' and 'label'."
    )


def test_parts_that_are_classes_of_a_model_are_classes() -> None:
    """A model may have been trained on them by an earlier version."""
    assert placed("train/1", "test/2", known=("test", "train")) == {
        "train/1": ("train", None),
        "test/2": ("test", None),
    }


@pytest.mark.parametrize("around", ["unknown", "images"])
def test_unlabelled_test_images_in_a_folder_are_left_out(around: str) -> None:
    """A single folder in a part of the split that is not a class is only around the images."""
    names = ("train/a/1", "train/b/2", "val/a/3", f"test/{around}/4")
    assert layout_of(*names).left_out == {("test",): 1}
    assert placed(*names) == {
        "train/a/1": ("a", "train"),
        "train/b/2": ("b", "train"),
        "val/a/3": ("a", "val"),
    }


def test_a_class_of_a_model_in_one_part_only_is_kept() -> None:
    """The model knows that it is a class."""
    assert placed("train/a/1", "test/b/2", known=("a", "b")) == {
        "train/a/1": ("a", "train"),
        "test/b/2": ("b", "test"),
    }


def test_a_part_with_other_classes_is_an_error() -> None:
    """Nothing could be measured on it."""
    with pytest.raises(DataError) as caught:
        layout_of("train/cat/1", "train/dog/2", "test/kitten/3", "test/puppy/4")
    assert str(caught.value) == (
        "None of the folders in 'test' ('kitten', 'puppy') of 'photos' is a class of its training "
        "part. Name them alike, or move 'test' out of the data."
    )


@pytest.mark.parametrize(
    ("names", "below"),
    [
        (("a/1", "b/2"), [(), ()]),
        (("a/x/1", "b/2"), [("a", "x"), ()]),
        (("around/a/x/y/1", "around/b/2"), [("a", "x"), ()]),
        (("train/a/x/1", "test/a/2"), [("train", "a", "x"), ()]),
        (("a/train/x/1", "a/test/2", "b/train/3"), [("a", "train", "x"), (), ()]),
    ],
)
def test_folders_in_class_folders(names: Sequence[str], below: Sequence[Sequence[str]]) -> None:
    """They are found, so that they can be named."""
    layout = layout_of(*names)
    assert [layout.below_class(tuple(name.split("/"))) for name in names] == below
