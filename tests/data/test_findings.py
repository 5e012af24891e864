"""What may be a mistake in the data is named."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.images import Images
from headstart.errors import DataError
from tests.conftest import TASK, picture
from tests.data.opened import open_images


@pytest.fixture
def open_data(tmp_path: Path) -> Callable[..., Images]:
    """Return `open_images` with a temporary staging folder."""
    return lambda data, **options: open_images(
        data, task=TASK, staging=tmp_path / "staging", **options
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with three images of each of two classes."""
    save(tmp_path / "data", "cat", "dog")
    return tmp_path / "data"


def save(folder: Path, *names: str, first: int = 0) -> None:
    """Save three pictures of each class."""
    for number, name in enumerate(names, first):
        (folder / name).mkdir(parents=True)
        for image in range(3):
            picture(10 * number + image).save(folder / name / f"{image}.png")


def test_a_class_of_unusable_images_is_named(data: Path, open_data: Callable[..., Images]) -> None:
    """Also if each has another reason."""
    (data / "bird").mkdir()
    (data / "bird/1.jpg").touch()
    (data / "bird/2.jpg").touch()
    (data / "bird/3.svg").touch()
    (data / "fish").mkdir()
    (data / "fish/1.dng").touch()
    assert open_data(data).warnings[:2] == (
        "No image of the class 'bird' can be used: the file is empty (2 of 3 images).",
        (
            "No image of the class 'fish' can be used: .dng files are not supported; convert it "
            "to .png or .jpg."
        ),
    )


def test_one_class_left_says_why(data: Path, open_data: Callable[..., Images]) -> None:
    """The classes that could not be used are named."""
    for file in (data / "dog").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_data(data)
    assert str(caught.value) == (
        f"'{data}' has only one class, 'cat'. No image of the class 'dog' can be used: the file "
        "is empty (all 3 images). A classifier needs at least two."
    )


def test_similar_class_names_are_named(data: Path, open_data: Callable[..., Images]) -> None:
    """They stay two classes."""
    save(data, "Dog", first=2)
    images = open_data(data)
    assert images.classes == ("Dog", "cat", "dog")
    assert images.warnings[0] == (
        "The classes 'Dog', 'dog' differ only in the way they are written. If they are the same, "
        "rename one of them."
    )


def test_a_model_s_class_may_be_in_the_other_unicode_form(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Models of earlier versions have the form of the folder that they were trained on."""
    form, other = (unicodedata.normalize(name, "Äpfel") for name in ("NFD", "NFC"))
    save(tmp_path / "data", other)
    images = open_data(tmp_path / "data", classes=(form, "x"))
    assert (len(images.all), images.all.labels.tolist()) == (3, [0, 0, 0])


def test_a_class_that_a_model_writes_otherwise_is_rejected_with_a_hint(
    data: Path, open_data: Callable[..., Images]
) -> None:
    """The images are not silently counted as another class."""
    images = open_data(data, classes=("Dog", "cat"))
    assert {reason for _, reason in images.rejected} == {
        "the model has no class dog, but 'Dog'; rename one of them"
    }


def test_rejected_images_are_counted_by_reason(
    data: Path, open_data: Callable[..., Images]
) -> None:
    """The first image of each reason is named; numbers and names in reasons do not count."""
    for number in range(3):
        (data / f"cat/empty{number}.png").touch()
        start = (data / f"cat/{number}.png").read_bytes()
        (data / f"dog/cut{number}.bmp").write_bytes(start[: 40 + number])
    (data / "dog/x.svg").touch()
    (data / "dog/y.dng").touch()
    (data / "dog/z.bin.png").write_bytes(b"?")
    warning = next(text for text in open_data(data).warnings if text.startswith("Images not used"))
    assert warning.startswith(
        "Images not used: 9. 'cat/empty0.png' and 2 more: the file is empty; "
    )
    assert warning.endswith("; and 2 for other reasons.")


def test_images_with_more_frames_are_named(data: Path, open_data: Callable[..., Images]) -> None:
    """Only the first is seen, which the user may not expect of a stack."""
    pages = [picture(number) for number in (7, 8)]
    pages[0].save(data / "cat/stack.tif", save_all=True, append_images=pages[1:])
    assert open_data(data).warnings == (
        "Images with several frames or pages, of which the first is used: 1 ('cat/stack.tif').",
    )


def test_classes_of_one_part_are_named(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """One by it, several by them."""
    save(tmp_path / "data/train", "a", "b", "c")
    save(tmp_path / "data/test", "a", "x", "y", first=5)
    warnings = open_data(tmp_path / "data").warnings
    assert "No test images of 'b', 'c': their accuracy is not measured." in warnings
    assert "No training images of 'x', 'y': they cannot be learnt." in warnings


def test_the_summary(data: Path, open_data: Callable[..., Images]) -> None:
    """Counts, and how the data was read."""
    (data / "cat/x.png").touch()
    assert open_data(data, test=0.4).summary == (
        "6 images of 2 classes (3 training, 3 test), 1 rejected. Classes: 'cat', 'dog'. Labels: "
        "folders. Split: made by Headstart."
    )


def test_the_summary_for_a_model(data: Path, open_data: Callable[..., Images]) -> None:
    """Nothing is held out, so no split is said to have been made."""
    assert open_data(data, classes=("cat", "dog")).summary == (
        "6 images of 2 classes. Classes: 'cat', 'dog'. Labels: folders."
    )


def test_more_classes_than_images_allow_are_named(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """A column of names or numbers is easily taken for the label."""
    (tmp_path / "data").mkdir()
    rows = ["path,label"]
    for number in range(12):
        picture(number).save(tmp_path / f"data/{number}.png")
        rows.append(f"{number}.png,{number}")
    (tmp_path / "data/t.csv").write_text("\n".join(rows))
    assert open_data(tmp_path / "data/t.csv").warnings[0] == (
        "There are 12 classes for 12 images. Is the right column or folder the label?"
    )


def test_classes_of_a_model_without_images_are_not_too_many(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """A few images of a model with many classes do not look like a wrong column."""
    classes = ("blue", "red", *map(str, range(30)))
    assert open_data(make_folder(count=2), classes=classes).warnings == ()


def test_images_without_a_part_are_named(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """They are training images."""
    save(tmp_path, "cat", "dog")
    rows = ["path,label,split"]
    for label in ("cat", "dog"):
        rows += [f"{label}/{n}.png,{label},{part}" for n, part in enumerate(("train", "", "test"))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    images = open_data(tmp_path / "t.csv")
    assert len(images.train) == 4
    assert images.warnings == ("Images without a part in the given split, used for training: 2.",)


def test_copies_in_several_folders_may_be_several_labels(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """They are rejected with one label per image, and the warning says how to use them."""
    for number, folders in enumerate((("cat", "dog"), ("cat", "dog"), ("cat",), ("dog",))):
        for name in folders:
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            picture(number).save(tmp_path / "photos" / name / f"{number}.png")
    images = open_data(tmp_path / "photos")
    assert len(images.rejected) == 4
    assert (
        "Images that are in the folders of several classes: 4. If an image may have several "
        "labels, pass --task multi."
    ) in images.warnings
