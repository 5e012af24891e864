"""What a folder of images is taken for is said, and so is what is left out of it."""

from pathlib import Path

import pytest

from headstart.data.folders import list_folder
from headstart.data.listing import Source
from headstart.errors import DataError


def list_files(folder: Path, *names: str) -> Source:
    """Create empty files, and list those that are taken for images."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return list_folder(folder, folder)


def test_folders_in_class_folders_are_named(tmp_path: Path) -> None:
    """They may have been meant as classes."""
    source = list_files(tmp_path, "animals/cat/1.png", "plants/fern/2.png")
    assert {entry.label for entry in source.entries} == {"animals", "plants"}
    assert source.understood == (
        "Labels: folders.",
        "Folders in those of the classes, such as 'animals/cat', belong to the class.",
    )


def test_all_other_files_are_counted(tmp_path: Path) -> None:
    """The most frequent suffixes by name."""
    others = [f"{n}.{suffix}" for n, suffix in enumerate(("txt", "txt", "md", "py", "h5", "db"))]
    source = list_files(tmp_path, "a/1.png", "b/2.png", *others, "x.ini", "noted")
    assert source.understood[-1] == (
        "Files that are not images: 2 .txt, 1 .md, 1 .py, 1 .h5, 1 .db and 2 with other suffixes."
    )


@pytest.mark.parametrize("link", ["alias", "zebra"])
def test_a_linked_folder_keeps_its_own_name(tmp_path: Path, link: str) -> None:
    """A link to a class folder is not a class, wherever it stands in the alphabet."""
    (tmp_path / "cat").mkdir()
    (tmp_path / link).symlink_to(tmp_path / "cat")
    source = list_files(tmp_path, "cat/1.png", "dog/2.png")
    assert [entry.image for entry in source.entries] == ["cat/1.png", "dog/2.png"]
    assert source.warnings == (
        f"Left out, because they are links to folders that are read under another name: '{link}'.",
    )


def test_a_link_to_a_hidden_folder_is_followed(tmp_path: Path) -> None:
    """As tools that keep data by its checksum create them."""
    (tmp_path / ".store").mkdir()
    (tmp_path / "cat").symlink_to(tmp_path / ".store")
    source = list_files(tmp_path, ".store/1.png", "dog/2.png")
    assert [entry.image for entry in source.entries] == ["cat/1.png", "dog/2.png"]


def test_a_hidden_folder_of_images_is_named(tmp_path: Path) -> None:
    """It may be a class. Other hidden folders belong to programs."""
    source = list_files(tmp_path, "a/1.png", "b/2.png", ".NET/3.png", ".git/config")
    assert source.warnings == ("Left out, because they are hidden: '.NET'.",)


def test_images_in_one_folder_beside_a_table_are_an_error(tmp_path: Path) -> None:
    """The table is suggested, wherever it is."""
    with pytest.raises(DataError) as caught:
        list_files(tmp_path, "images/1.png", "images/labels.csv")
    assert str(caught.value) == (
        f"'{tmp_path}' has images in only one folder, 'images'. If a table has the labels, pass it "
        f"instead: '{tmp_path / 'images/labels.csv'}'."
    )


def test_a_table_in_an_archive_is_suggested(tmp_path: Path) -> None:
    """It must be unpacked first."""
    for name in ("images/1.png", "labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        list_folder(tmp_path, Path("photos.zip"))
    assert str(caught.value) == (
        "'photos.zip' has images in only one folder, 'images'. If a table has the labels, unpack "
        "the archive and pass the table: 'labels.csv'."
    )


def test_a_table_beside_parts_of_a_split_is_suggested(tmp_path: Path) -> None:
    """As in the folders of a competition."""
    with pytest.raises(DataError, match=r"'label'\. If a table has the labels, pass it instead: "):
        list_files(tmp_path, "train/1.png", "test/2.png", "train.csv")


def test_archives_instead_of_images_are_named(tmp_path: Path) -> None:
    """One for each class, perhaps."""
    with pytest.raises(DataError) as caught:
        list_files(tmp_path, "cat.zip", "dog.zip", "more.rar", "notes.txt")
    assert str(caught.value) == (
        f"'{tmp_path}' has no images, but archives (2 .zip, 1 .rar). Unpack each into a folder of "
        "its name, or pass one of them."
    )


def test_other_files_instead_of_images_are_counted(tmp_path: Path) -> None:
    """So that it is clear what was looked at."""
    with pytest.raises(DataError) as caught:
        list_files(tmp_path, "cat/1.mp4", "cat/2.mp4")
    assert str(caught.value) == (
        f"'{tmp_path}' has no images. Its files are not images: 2 .mp4. Pass a folder with one "
        "subfolder per class, with files such as .jpg, .png, .webp or .tif in them."
    )
