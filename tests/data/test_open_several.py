"""Opening images with several labels each: conflicts, copies, splits, and bad input."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.images import Images
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.labels import read_labels
from headstart.data.opening import images_of
from headstart.data.sources import open_source
from headstart.errors import DataError
from tests.conftest import TASK, picture
from tests.data.opened import open_images
from tests.data.several import Several

Rows = list[tuple[str, str]]


@pytest.fixture
def open_table(tmp_path: Path) -> Callable[..., Images]:
    """Return a function that opens a table, with a different picture for each name in it."""

    def open_(text: str, classes: tuple[str, ...] | None = None, **labelling) -> Images:
        path = tmp_path / "t.csv"
        path.write_text(text)
        for name in {line.split(",")[0] for line in text.split()[1:]}:
            # A copy has the name of the original, and a suffix that sorts behind.
            if name.split(".")[0].isdigit() and not (tmp_path / name).exists():
                picture(int(name.split(".")[0]), side=32).save(tmp_path / name, "PNG")
        said = Labelling("multi" if classes else "auto", **labelling, known=classes or ())
        source = open_source(path, tmp_path / "staging", Interpretation(said))
        return images_of(source, path, task=Several(), classes=classes)

    return open_


def table(*cells: str, first: str = "path,labels") -> str:
    """Write a table of pictures and their cells."""
    return "\n".join([first, *(f"{number},{cell}" for number, cell in enumerate(cells))])


def test_labels_are_counted(open_table: Callable[..., Images]) -> None:
    """An image counts for each label that is present in it; classes are all names."""
    images = open_table(
        table(*["1,0,0", "1,1,0", ",1,0", "0,,0"] * 3, first="path,b,a,c"), labels="*"
    )
    assert images.classes == ("a", "b", "c")
    assert images.all.counts() == (6, 6, 0)
    assert images.all.absent() == ["c"]
    assert images.all.labels[:3].tolist() == [[0, 1, 0], [1, 1, 0], [1, -1, 0]]
    assert images.understood[-1] == (
        "Labels: several per image, from 'b', 'a', 'c' (3 labels; 17% of the values unknown)."
    )


def test_images_without_labels_are_images(open_table: Callable[..., Images]) -> None:
    """They are on both sides of the split, and their number is said."""
    images = open_table(table(*["a|b", "b", "", ""] * 5))
    assert (len(images.all), images.rejected) == (20, [])
    assert images.understood[-1] == (
        "Labels: several per image, from 'labels' (2 labels; 10 images without any)."
    )
    for part in (images.train, images.test):
        assert [0, 0] in part.labels.tolist()
        assert part.absent() == []
    assert images.warnings == ()


def test_few_unknown_values_are_not_none(open_table: Callable[..., Images]) -> None:
    """A share that would be rounded to 0 % is said in words."""
    cells = ["1,0,1,0,1,0,1,0,1", "0,1,0,1,0,1,0,1,0"] * 6 + [",1,0,1,0,1,0,1,0"]
    images = open_table(table(*cells, first="path,a,b,c,d,e,f,g,h,i"), labels="?")
    assert "(9 labels; under 1% of the values unknown)" in images.understood[-1]


def test_rows_that_disagree_are_rejected(open_table: Callable[..., Images]) -> None:
    """A label is present in one row and absent in the other; unknown agrees with both."""
    text = table(*["1,0", "0,1"] * 4, first="path,a,b") + "\n0,0,0\n1,,1\n1,0,"
    images = open_table(text, labels="a,b")
    assert images.rejected == [("0", "copies of the image disagree about 'a'")] * 2
    assert images.all.names.count("1") == 3


def test_a_list_and_a_part_of_it_disagree(open_table: Callable[..., Images]) -> None:
    """A label that is not in a list is absent."""
    images = open_table(table(*["a", "b"] * 4) + "\n0,a|b\n1,b")
    assert images.rejected == [("0", "copies of the image disagree about 'b'")] * 2


def test_copies_in_several_folders_are_one_image(tmp_path: Path) -> None:
    """Of copies in one part, the first remains; it has the labels of all copies."""
    for part, first in (("train", 0), ("test", 10)):
        for label, numbers in (("cat", range(6)), ("dog", range(3, 8))):
            folder = tmp_path / "photos" / part / label
            folder.mkdir(parents=True)
            for number in numbers:
                picture(first + number, side=32).save(folder / f"{number}.png")
    picture(10, side=32).save(tmp_path / "photos/train/dog/leak.png")
    images = open_images(tmp_path / "photos", task=Several(), staging=tmp_path / "staging")
    labels = dict(zip(images.all.names, images.all.table["label"].to_pylist(), strict=True))
    assert len(labels) == 17
    assert sorted(read_labels(labels["train/cat/3.png"])) == ["cat", "dog"]
    assert sorted(read_labels(labels["train/dog/6.png"])) == ["dog"]
    assert sorted(read_labels(labels["train/dog/leak.png"])) == ["cat", "dog"]
    assert sorted(read_labels(labels["test/cat/0.png"])) == ["cat", "dog"]
    assert images.leaks == (("train/dog/leak.png", "test/cat/0.png"),)
    assert "Copies of an image in several folders, merged: 6." in images.understood
    assert images.understood[-1] == "Labels: several per image, from the folders (2 labels)."


def test_copies_of_one_label_are_conflicts_as_before(tmp_path: Path) -> None:
    """Without --task multi, an image in the folders of two classes is rejected."""
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            picture(number + (9 if label == "dog" and number else 0)).save(
                tmp_path / "photos" / label / f"{number}.png"
            )
    images = open_images(tmp_path / "photos", task=TASK, staging=tmp_path / "staging")
    reason = "copies of the image have different labels: cat and dog"
    assert images.rejected == [("cat/0.png", reason), ("dog/0.png", reason)]


# Bad input -------------------------------------------------------------------------------------


def test_labels_that_cannot_be_learnt_are_named(open_table: Callable[..., Images]) -> None:
    """Always present, always unknown or never present."""
    cells = ["1,0,1,,0", "0,1,1,,0", "0,1,,,0", "1,0,,,0"] * 4
    images = open_table(table(*cells, first="path,a,b,always,unknown,never"), labels="*")
    always, unknown, never = images.warnings[-3:]
    assert always == (
        "Labels that are present in every training image in which they are known, so they cannot "
        "be learnt: 'always'."
    )
    assert (unknown, never) == (
        "Labels that are unknown in every training image, so they cannot be learnt: 'unknown'.",
        "Labels that are present in no training image, so they cannot be learnt: 'never'.",
    )


def test_a_label_only_in_the_test_part_is_named_once(open_table: Callable[..., Images]) -> None:
    """As for one label per image; one only in the training part is not measured."""
    cells = ["a,train", "b,train", "a|c,train", "a,test", "b,test", "a|d,test"]
    images = open_table(table(*cells, first="path,labels,split"))
    assert images.warnings == (
        "No test images of 'c': its accuracy is not measured.",
        "No training images of 'd': it cannot be learnt.",
    )


def test_empty_labels_are_an_error(open_table: Callable[..., Images], tmp_path: Path) -> None:
    """The labels are probably elsewhere."""
    with pytest.raises(DataError) as caught:
        open_table("path,labels\n" + "\n".join(f"{number},NaN" for number in range(4)))
    assert str(caught.value) == (
        f"No image of '{tmp_path / 't.csv'}' has a label; they were looked for in 'labels'."
    )


@pytest.mark.parametrize("cells", [["1,"] * 6, ["0,0"] * 6, [","] * 6, ["1,0"] * 6])
def test_labels_of_which_none_can_be_learnt_are_an_error(
    open_table: Callable[..., Images], tmp_path: Path, cells: list[str]
) -> None:
    """No label distinguishes some images from others."""
    with pytest.raises(DataError) as caught:
        open_table(table(*cells, first="path,a,b"), labels="a,b")
    assert str(caught.value) == (
        f"No label of '{tmp_path / 't.csv'}' is present in some training images and absent in "
        "others, so there is nothing to learn."
    )


def test_a_single_label_is_enough(open_table: Callable[..., Images]) -> None:
    """It is present or absent."""
    images = open_table(table(*["1", "0"] * 5, first="path,defective"), labels="defective")
    assert images.classes == ("defective",)
    assert images.warnings == ()
    assert images.understood[-1].endswith("(1 label; 5 images without any).")


def test_labels_that_exclude_each_other_are_noticed(open_table: Callable[..., Images]) -> None:
    """With --task single, the model would know that exactly one is present."""
    images = open_table(table(*["a", "b"] * 5))
    assert images.warnings == (
        "Every image has exactly one label. If that is always so, pass --task single.",
    )


def test_200_labels(open_table: Callable[..., Images]) -> None:
    """They are read, and more labels than half of the images are noticed."""
    cells = ["|".join(f"l{number + k}" for k in range(11)) for number in range(0, 200, 10)]
    images = open_table(table(*cells, *cells))
    assert len(images.classes) == 201
    assert images.warnings[0] == (
        "There are 201 classes for 40 images. Is the right column or folder the label?"
    )
    assert all(count >= 2 for count in images.all.counts())


def test_200_classes_of_which_one_has_a_single_image(tmp_path: Path) -> None:
    """With one label per image: the single image is for training, and it is said."""
    lines = [f"{number},c{number % 200:03d}" for number in range(399)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]))
    for number in range(399):
        picture(number, side=16).save(tmp_path / str(number), "PNG")
    images = open_images(tmp_path / "t.csv", task=TASK, staging=tmp_path / "staging")
    assert (len(images.classes), images.all.counts().count(1)) == (200, 1)
    assert "199" in images.train.names
    assert "No test images of 'c199': its accuracy is not measured." in images.warnings


def test_images_for_a_model(open_table: Callable[..., Images]) -> None:
    """Other labels are left out, no image is rejected, and nothing is held out or to be learnt."""
    images = open_table(table("a|x", "b", "", "a"), classes=("a", "b", "c"))
    assert images.classes == ("a", "b", "c")
    assert images.all.counts() == (2, 1, 0)
    assert (images.rejected, len(images.test)) == ([], 0)
    assert images.warnings == (
        "Labels that the model does not have, not used: 'x'.",
        "Labels of the model that no image has, taken as absent: 'c'.",
    )


def test_images_with_none_of_the_labels_of_a_model(open_table: Callable[..., Images]) -> None:
    """They cannot be measured, and the message has both kinds of labels."""
    with pytest.raises(DataError) as caught:
        open_table(table("x", "y", ""), classes=("a", "b"))
    assert str(caught.value) == (
        "The model has none of the labels of these images: 'x', 'y'. Its labels are 'a', 'b'. "
        "Rename them, or name the columns of the labels with --labels."
    )
    with pytest.raises(DataError, match="none of the labels of these images: 'x', 'y'"):
        open_table(table("1,0", "0,1", first="path,x,y"), labels="*", classes=("a", "b"))
