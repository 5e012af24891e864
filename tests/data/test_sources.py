"""Sources: folders, tables and archives become entries, each file once and in a fixed order."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.paths import files_of
from headstart.data.sources import Source, open_source
from headstart.errors import DataError, OptionError
from tests.conftest import picture

NO_CLASSES = (
    "'{}' has images but no class folders. Put each image into a folder named "
    "by its class, or give a CSV file with the columns 'path' and 'label'."
)


def touch(folder: Path, *names: str) -> Path:
    """Make empty files below a folder; a source does not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def labels(source: Source) -> dict[str, str | None]:
    """Map each image to its label."""
    return {entry.image: entry.label for entry in source.entries}


def splits(source: Source) -> dict[str, str | None]:
    """Map each image to its split."""
    return {entry.image: entry.split for entry in source.entries}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a folder to put files in."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Source]:
    """Give `open_source` with a staging folder of its own."""
    return lambda path, **options: open_source(path, staging=tmp_path / "staging", **options)


def test_folders_are_classes(data: Path, opened: Callable[..., Source]) -> None:
    """Each image is called by its path within the data and labelled by its first folder."""
    touch(data, "dog/2.JPG", "cat/1.png", "cat/more/3.webp")
    source = opened(data)
    assert source.name == "data"
    assert labels(source) == {"cat/1.png": "cat", "cat/more/3.webp": "cat", "dog/2.JPG": "dog"}
    assert [entry.path for entry in source.entries] == [
        str(data / "cat/1.png"),
        str(data / "cat/more/3.webp"),
        str(data / "dog/2.JPG"),
    ]
    assert {entry.rejected for entry in source.entries} == {None}


def test_notes_and_hidden_files_are_no_images(data: Path, opened: Callable[..., Source]) -> None:
    """What is not named like an image, and what is hidden, is not listed."""
    touch(data, "a/1.png", "b/2.png", "a/notes.txt", "a/.3.png", ".git/4.png", "labels.csv")
    assert list(labels(opened(data))) == ["a/1.png", "b/2.png"]


def test_an_image_beside_the_classes_is_rejected(data: Path, opened: Callable[..., Source]) -> None:
    """An image without a class folder is named, not lost."""
    source = opened(touch(data, "a/1.png", "b/2.png", "stray.png"))
    assert [(entry.image, entry.rejected) for entry in source.entries if entry.rejected] == [
        ("stray.png", "it lies beside the class folders, not in one of them")
    ]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_split_folders_are_kept(data: Path, opened: Callable[..., Source], validation: str) -> None:
    """train, val and test folders give the split, the folders below them the classes."""
    source = opened(touch(data, "Train/a/1.png", f"{validation}/a/2.png", "testing/b/3.png"))
    assert splits(source) == {
        "Train/a/1.png": "train",
        f"{validation}/a/2.png": "val",
        "testing/b/3.png": "test",
    }
    assert labels(source) == {
        "Train/a/1.png": "a",
        f"{validation}/a/2.png": "a",
        "testing/b/3.png": "b",
    }


def test_an_image_directly_in_a_split_folder_is_rejected(
    data: Path, opened: Callable[..., Source]
) -> None:
    """It has a split but no class."""
    source = opened(touch(data, "train/a/1.png", "test/a/2.png", "train/stray.png"))
    assert {entry.image: entry.rejected for entry in source.entries} == {
        "test/a/2.png": None,
        "train/a/1.png": None,
        "train/stray.png": "it lies beside the class folders, not in one of them",
    }


def test_a_class_called_test_is_a_class(data: Path, opened: Callable[..., Source]) -> None:
    """Without a train folder, or beside other classes, such names are labels."""
    assert set(labels(opened(touch(data, "test/1.png", "real/2.png"))).values()) == {
        "test",
        "real",
    }


@pytest.mark.parametrize("extra", ["docs/readme.txt", "__MACOSX/train/a/._1.png"])
def test_a_folder_without_images_does_not_hide_the_split(
    data: Path, opened: Callable[..., Source], extra: str
) -> None:
    """Notes beside train and test do not turn those into classes."""
    source = opened(touch(data, "train/a/1.png", "test/a/2.png", extra))
    assert labels(source) == {"train/a/1.png": "a", "test/a/2.png": "a"}
    assert splits(source) == {"train/a/1.png": "train", "test/a/2.png": "test"}


def test_a_symlink_loop_is_walked_once(data: Path, opened: Callable[..., Source]) -> None:
    """A folder that links to its parent ends the walk; each image is listed once."""
    touch(data, "a/1.png", "b/2.png")
    (data / "a" / "again").symlink_to(data)
    (data / "b" / "self.png").symlink_to(data / "b" / "self.png")
    source = opened(data)
    assert list(labels(source)) == ["a/1.png", "b/2.png", "b/self.png"]


def test_linked_folders_and_files_are_followed(
    tmp_path: Path, data: Path, opened: Callable[..., Source]
) -> None:
    """Classes may be links to folders elsewhere."""
    touch(tmp_path, "elsewhere/1.png", "2.png")
    (data / "a").symlink_to(tmp_path / "elsewhere")
    (data / "b").mkdir()
    (data / "b" / "2.png").symlink_to(tmp_path / "2.png")
    assert labels(opened(data)) == {"a/1.png": "a", "b/2.png": "b"}


def test_names_of_250_characters_are_kept(data: Path, opened: Callable[..., Source]) -> None:
    """Long names of files and of classes are no problem."""
    long = "x" * 246 + ".png"
    touch(data, f"{'a' * 250}/{long}", f"b/{long}")
    assert labels(opened(data)) == {f"{'a' * 250}/{long}": "a" * 250, f"b/{long}": "b"}


def test_names_with_spaces_quotes_and_other_scripts_are_kept(
    data: Path, opened: Callable[..., Source]
) -> None:
    """Any valid UTF-8 is a name."""
    names = {'my cat/it\'s "1".png': "my cat", "собака/二.png": "собака", "x\ny/1.png": "x\ny"}
    assert labels(opened(touch(data, *names))) == names


def test_a_name_that_is_not_utf8_is_rejected(data: Path, opened: Callable[..., Source]) -> None:
    """The file is named with its odd bytes shown, and the others are used."""
    touch(data, "a/1.png", "b/2.png", os.fsdecode(b"a/caf\xe9.png"))
    source = opened(data)
    assert [(entry.image, entry.rejected) for entry in source.entries if entry.rejected] == [
        ("a/caf\\xe9.png", "its name is not valid UTF-8; rename it")
    ]
    assert len(source.entries) == 3


def test_class_folders_that_are_not_utf8_are_not_called_missing(
    data: Path, opened: Callable[..., Source]
) -> None:
    """When no name is valid, each file is rejected for that reason."""
    source = opened(touch(data, os.fsdecode(b"caf\xe9/1.png"), os.fsdecode(b"th\xe9/2.png")))
    assert [entry.rejected for entry in source.entries] == [
        "its name is not valid UTF-8; rename it"
    ] * 2


def test_missing_data_is_an_error(tmp_path: Path, opened: Callable[..., Source]) -> None:
    """A path to nothing is named."""
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "nothing")
    assert str(caught.value) == f"Data '{tmp_path / 'nothing'}' does not exist."


def test_a_path_that_is_too_long_is_an_error(opened: Callable[..., Source]) -> None:
    """What the disk refuses as a name is an error, not a traceback."""
    with pytest.raises(DataError, match=r"^Data 'x{300}' "):
        opened("x" * 300)


def test_an_empty_folder_is_an_error(data: Path, opened: Callable[..., Source]) -> None:
    """It says what is expected."""
    with pytest.raises(DataError) as caught:
        opened(data)
    assert str(caught.value).startswith(
        f"'{data}' holds no images. Give a folder with one folder for each class, "
        "with files such as .jpg"
    )


def test_a_folder_of_notes_alone_holds_no_images(data: Path, opened: Callable[..., Source]) -> None:
    """Files that are no images are not called images."""
    with pytest.raises(DataError, match=f"^'{data}' holds no images"):
        opened(touch(data, "readme.txt"))


@pytest.mark.parametrize("note", [(), ("docs/readme.txt",)], ids=["alone", "with notes"])
def test_images_without_class_folders_are_an_error(
    data: Path, opened: Callable[..., Source], note: tuple[str, ...]
) -> None:
    """It says where the labels should be, whatever else lies about."""
    with pytest.raises(DataError) as caught:
        opened(touch(data, "1.png", "2.png", *note))
    assert str(caught.value) == NO_CLASSES.format(data)


def test_a_file_of_another_kind_is_an_error(data: Path, opened: Callable[..., Source]) -> None:
    """A single image is no data set."""
    path = touch(data, "photo.jpg") / "photo.jpg"
    with pytest.raises(DataError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"'{path}' is no folder, no table (.csv, .parquet) and no archive (.zip, .tar)."
    )


@pytest.mark.parametrize("broken", ["listdir", "scandir"])
def test_a_folder_that_may_not_be_read_is_an_error(
    data: Path, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Missing permission is said of the folder, however it is listed."""
    touch(data, "a/1.png", "b/2.png")
    closed, real = data / "b" if broken == "scandir" else data, getattr(os, broken)

    def refuse(path: str | Path = ".") -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, broken, refuse)
    with pytest.raises(DataError) as caught:
        opened(data)
    assert str(caught.value) == f"Folder '{closed}' cannot be read: Permission denied."


def test_a_group_is_read_from_the_path(data: Path, opened: Callable[..., Source]) -> None:
    """The expression's only group names it; where it does not match, there is none."""
    touch(data, "a/p1_1.png", "a/p2_2.png", "b/p1_3.png", "b/other.png")
    source = opened(data, group=r"(p\d+)_")
    assert {entry.image: entry.group for entry in source.entries} == {
        "a/p1_1.png": "p1",
        "a/p2_2.png": "p2",
        "b/other.png": None,
        "b/p1_3.png": "p1",
    }


@pytest.mark.parametrize("group", ["patient", "(a)(b)", "(?:p)"])
def test_a_group_without_exactly_one_group_is_an_error(
    data: Path, opened: Callable[..., Source], group: str
) -> None:
    """It says what is needed."""
    with pytest.raises(OptionError) as caught:
        opened(touch(data, "a/1.png", "b/2.png"), group=group)
    assert str(caught.value) == (
        f"--group '{group}' must have exactly one (group) to read from the path, "
        "like '(patient[0-9]+)'. For a folder it cannot be a column's name."
    )


def test_a_group_that_is_no_expression_is_an_error(
    data: Path, opened: Callable[..., Source]
) -> None:
    """It says what is wrong with it."""
    with pytest.raises(OptionError) as caught:
        opened(touch(data, "a/1.png", "b/2.png"), group="(p")
    assert str(caught.value) == (
        "--group '(p' is no regular expression: missing ), unterminated subpattern at position 0."
    )


def archive_of(folder: Path, path: Path, around: str = "") -> Path:
    """Zip all files of a folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, around + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("around", ["", "photos/"])
def test_an_archive_is_read_like_its_folder(
    tmp_path: Path, data: Path, opened: Callable[..., Source], around: str
) -> None:
    """Names, labels and splits are those of the folder, wherever it is unpacked."""
    touch(data, "train/a/1.png", "train/b/2.png", "test/a/3.png")
    source = opened(archive_of(data, tmp_path / "photos.v1.zip", around))
    assert source.name == "photos"
    assert (labels(source), splits(source)) == (labels(opened(data)), splits(opened(data)))


def test_an_archive_made_on_a_mac_keeps_its_split(
    tmp_path: Path, data: Path, opened: Callable[..., Source]
) -> None:
    """The folder __MACOSX that a Mac adds does not turn train and test into classes."""
    touch(data, "train/a/1.png", "test/a/2.png", "__MACOSX/train/a/._1.png")
    source = opened(archive_of(data, tmp_path / "d.zip"))
    assert labels(source) == {"train/a/1.png": "a", "test/a/2.png": "a"}


def test_an_archive_without_class_folders_is_named_itself(
    tmp_path: Path, data: Path, opened: Callable[..., Source]
) -> None:
    """The error names the user's file, not the folder it was unpacked to."""
    archive = archive_of(touch(data, "1.png", "2.png"), tmp_path / "d.zip")
    with pytest.raises(DataError) as caught:
        opened(archive)
    assert str(caught.value) == NO_CLASSES.format(archive)


def test_a_table_is_read_by_its_name(data: Path, opened: Callable[..., Source]) -> None:
    """A CSV file gives its rows."""
    picture(1).save(data / "1.png")
    (data / "list.csv").write_text("path,label\n1.png,a\n")
    source = opened(data / "list.csv")
    assert source.name == "list"
    assert labels(source) == {"1.png": "a"}


def test_the_home_folder_is_understood(
    data: Path, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leading ~ is the user's home."""
    monkeypatch.setenv("HOME", str(data))
    touch(data, "pets/a/1.png", "pets/b/2.png")
    assert labels(opened("~/pets")) == {"a/1.png": "a", "b/2.png": "b"}


def test_files_are_walked_in_a_fixed_order(data: Path) -> None:
    """Sorted, files of a folder before those of its subfolders."""
    touch(data, "b/2", "b/1", "a/3", "z", "a/c/4")
    found = [path.relative_to(data).as_posix() for path in files_of(data)]
    assert found == ["z", "a/3", "a/c/4", "b/1", "b/2"]
