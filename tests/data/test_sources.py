"""Folders, tables and archives are listed as entries, each file once and in a fixed order."""

import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.paths import walk_files
from headstart.data.sources import Source, open_source
from headstart.errors import DataError, OptionError
from tests.conftest import picture

NO_CLASSES = (
    "'{}' has images but no class folders. Put each image into a folder named "
    "after its class, or pass a CSV file with the columns 'path' and 'label'."
)


def touch(folder: Path, *names: str) -> Path:
    """Create empty files below a folder; a source does not open them."""
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
    """Return an empty folder for the data."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def open_data(tmp_path: Path) -> Callable[..., Source]:
    """Return `open_source` with a temporary staging folder."""
    return lambda path, **options: open_source(
        path, tmp_path / "staging", Interpretation(**options)
    )


def test_folders_are_classes(data: Path, open_data: Callable[..., Source]) -> None:
    """Each image is named by its path within the data and labelled by its first folder."""
    touch(data, "dog/2.JPG", "cat/1.png", "cat/more/3.webp")
    source = open_data(data)
    assert source.name == "data"
    assert labels(source) == {"cat/1.png": "cat", "cat/more/3.webp": "cat", "dog/2.JPG": "dog"}
    assert [entry.path for entry in source.entries] == [
        str(data / "cat/1.png"),
        str(data / "cat/more/3.webp"),
        str(data / "dog/2.JPG"),
    ]
    assert {entry.rejected for entry in source.entries} == {None}


def test_other_and_hidden_files_are_ignored(data: Path, open_data: Callable[..., Source]) -> None:
    """Files without an image suffix and hidden files are not listed."""
    touch(data, "a/1.png", "b/2.png", "a/notes.txt", "a/.3.png", ".git/4.png", "labels.csv")
    assert list(labels(open_data(data))) == ["a/1.png", "b/2.png"]


def test_an_image_beside_the_classes_is_rejected(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """An image without a class folder is listed with the reason."""
    source = open_data(touch(data, "a/1.png", "b/2.png", "stray.png"))
    assert [(entry.image, entry.rejected) for entry in source.entries if entry.rejected] == [
        ("stray.png", "it is not in a class folder")
    ]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_split_folders_are_kept(
    data: Path, open_data: Callable[..., Source], validation: str
) -> None:
    """train, val and test folders give the split, the folders below them the classes."""
    source = open_data(touch(data, "Train/a/1.png", f"{validation}/a/2.png", "testing/a/3.png"))
    assert splits(source) == {
        "Train/a/1.png": "train",
        f"{validation}/a/2.png": "val",
        "testing/a/3.png": "test",
    }
    assert labels(source) == {
        "Train/a/1.png": "a",
        f"{validation}/a/2.png": "a",
        "testing/a/3.png": "a",
    }


def test_an_image_directly_in_a_split_folder_is_rejected(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """Such an image has a split but no class."""
    source = open_data(touch(data, "train/a/1.png", "test/a/2.png", "train/stray.png"))
    assert {entry.image: entry.rejected for entry in source.entries} == {
        "test/a/2.png": None,
        "train/a/1.png": None,
        "train/stray.png": "it is not in a class folder",
    }


def test_a_class_may_be_named_test(data: Path, open_data: Callable[..., Source]) -> None:
    """Without a train folder, names of splits are labels."""
    assert set(labels(open_data(touch(data, "test/1.png", "real/2.png"))).values()) == {
        "test",
        "real",
    }


@pytest.mark.parametrize("extra", ["docs/readme.txt", "__MACOSX/train/a/._1.png"])
def test_a_folder_without_images_does_not_hide_the_split(
    data: Path, open_data: Callable[..., Source], extra: str
) -> None:
    """Folders without images beside train and test do not turn those into classes."""
    source = open_data(touch(data, "train/a/1.png", "test/a/2.png", extra))
    assert labels(source) == {"train/a/1.png": "a", "test/a/2.png": "a"}
    assert splits(source) == {"train/a/1.png": "train", "test/a/2.png": "test"}


def test_a_symlink_loop_is_walked_once(data: Path, open_data: Callable[..., Source]) -> None:
    """A link to a parent folder is not followed again; each image is listed once."""
    touch(data, "a/1.png", "b/2.png")
    (data / "a" / "again").symlink_to(data)
    (data / "b" / "self.png").symlink_to(data / "b" / "self.png")
    source = open_data(data)
    assert list(labels(source)) == ["a/1.png", "b/2.png", "b/self.png"]


def test_linked_folders_and_files_are_followed(
    tmp_path: Path, data: Path, open_data: Callable[..., Source]
) -> None:
    """Classes may be links to folders elsewhere."""
    touch(tmp_path, "elsewhere/1.png", "2.png")
    (data / "a").symlink_to(tmp_path / "elsewhere")
    (data / "b").mkdir()
    (data / "b" / "2.png").symlink_to(tmp_path / "2.png")
    assert labels(open_data(data)) == {"a/1.png": "a", "b/2.png": "b"}


def test_names_of_255_bytes_are_kept(data: Path, open_data: Callable[..., Source]) -> None:
    """Long names of files and classes are accepted."""
    long = "ä" * 125 + "x.png"
    touch(data, f"{'a' * 255}/{long}", f"b/{long}")
    assert labels(open_data(data)) == {f"{'a' * 255}/{long}": "a" * 255, f"b/{long}": "b"}


def test_names_with_spaces_quotes_and_other_scripts_are_kept(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """Any valid UTF-8 name is accepted."""
    names = {'my cat/it\'s "1".png': "my cat", "собака/二.png": "собака", "x\ny/1.png": "x\ny"}
    assert labels(open_data(touch(data, *names))) == names


def test_a_name_that_is_not_utf8_is_rejected(data: Path, open_data: Callable[..., Source]) -> None:
    """The invalid bytes are shown as escapes, and the other files are used."""
    touch(data, "a/1.png", "b/2.png", os.fsdecode(b"a/caf\xe9.png"))
    source = open_data(data)
    assert [(entry.image, entry.rejected) for entry in source.entries if entry.rejected] == [
        ("a/caf\\xe9.png", "its name is not valid UTF-8; rename it")
    ]
    assert len(source.entries) == 3


def test_class_folders_that_are_not_utf8_are_not_reported_missing(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """If no name is valid, each file is rejected for that reason."""
    source = open_data(touch(data, os.fsdecode(b"caf\xe9/1.png"), os.fsdecode(b"th\xe9/2.png")))
    assert [entry.rejected for entry in source.entries] == [
        "its name is not valid UTF-8; rename it"
    ] * 2


def test_missing_data_is_an_error(tmp_path: Path, open_data: Callable[..., Source]) -> None:
    """The message names the path."""
    with pytest.raises(DataError) as caught:
        open_data(tmp_path / "nothing")
    assert str(caught.value) == f"Data '{tmp_path / 'nothing'}' does not exist."


def test_a_path_that_is_too_long_is_an_error(open_data: Callable[..., Source]) -> None:
    """The operating system's error is translated."""
    with pytest.raises(DataError, match=r"^Data 'x{300}' "):
        open_data("x" * 300)


def test_an_empty_folder_is_an_error(data: Path, open_data: Callable[..., Source]) -> None:
    """The message says what is expected."""
    with pytest.raises(DataError) as caught:
        open_data(data)
    assert str(caught.value).startswith(
        f"'{data}' has no images. Pass a folder with one subfolder per class, "
        "with files such as .jpg"
    )


def test_a_folder_without_images_is_an_error(data: Path, open_data: Callable[..., Source]) -> None:
    """Files of other kinds do not count as images."""
    with pytest.raises(DataError, match=f"^'{data}' has no images"):
        open_data(touch(data, "readme.txt"))


@pytest.mark.parametrize("note", [(), ("docs/readme.txt",)], ids=["alone", "with notes"])
def test_images_without_class_folders_are_an_error(
    data: Path, open_data: Callable[..., Source], note: tuple[str, ...]
) -> None:
    """The message says where the labels should be, whatever other files there are."""
    with pytest.raises(DataError) as caught:
        open_data(touch(data, "1.png", "2.png", *note))
    assert str(caught.value) == NO_CLASSES.format(data)


def test_a_file_of_another_kind_is_an_error(data: Path, open_data: Callable[..., Source]) -> None:
    """A single image is not a data set."""
    path = touch(data, "photo.jpg") / "photo.jpg"
    with pytest.raises(DataError) as caught:
        open_data(path)
    assert str(caught.value) == (
        f"'{path}' is not a folder, a table (.csv, .tsv, .parquet, .jsonl) or an archive "
        "(.zip, .tar)."
    )


def refuse_to_list(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder unreadable."""
    real = os.scandir

    def refuse(path: str | Path = ".") -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_data_without_read_permission_is_an_error(
    data: Path, open_data: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the folder."""
    touch(data, "a/1.png")
    refuse_to_list(data, monkeypatch)
    with pytest.raises(DataError) as caught:
        open_data(data)
    assert str(caught.value) == f"Folder '{data}' cannot be read: Permission denied."


def test_a_folder_without_read_permission_is_named(
    data: Path, open_data: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other folders are used."""
    touch(data, "a/1.png", "b/2.png", "c/3.png")
    refuse_to_list(data / "b", monkeypatch)
    source = open_data(data)
    assert labels(source) == {"a/1.png": "a", "c/3.png": "c"}
    assert source.warnings[0] == ("Left out, because they cannot be read: 'b' (Permission denied).")


def test_a_group_is_read_from_the_path(data: Path, open_data: Callable[..., Source]) -> None:
    """The regular expression's group is the name; without a match, there is no group."""
    touch(data, "a/p1_1.png", "a/p2_2.png", "b/p1_3.png", "b/other.png")
    source = open_data(data, group=r"(p\d+)_")
    assert {entry.image: entry.group for entry in source.entries} == {
        "a/p1_1.png": "p1",
        "a/p2_2.png": "p2",
        "b/other.png": None,
        "b/p1_3.png": "p1",
    }


@pytest.mark.parametrize("group", ["patient", "(a)(b)", "(?:p)"])
def test_a_group_without_exactly_one_group_is_an_error(
    data: Path, open_data: Callable[..., Source], group: str
) -> None:
    """The message says what is needed."""
    with pytest.raises(OptionError) as caught:
        open_data(touch(data, "a/1.png", "b/2.png"), group=group)
    assert str(caught.value) == (
        f"--group '{group}' must have exactly one (group) to match in the path, "
        "such as '(patient[0-9]+)'. Only a table has columns to name instead."
    )


def test_an_invalid_regular_expression_is_an_error(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(OptionError) as caught:
        open_data(touch(data, "a/1.png", "b/2.png"), group="(p")
    assert str(caught.value) == (
        "--group '(p' is not a valid regular expression: "
        "missing ), unterminated subpattern at position 0."
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
    tmp_path: Path, data: Path, open_data: Callable[..., Source], around: str
) -> None:
    """Names, labels and splits are those of the folder that was packed."""
    touch(data, "train/a/1.png", "train/b/2.png", "test/a/3.png")
    source = open_data(archive_of(data, tmp_path / "photos.v1.zip", around))
    assert source.name == "photos"
    assert (labels(source), splits(source)) == (labels(open_data(data)), splits(open_data(data)))


def test_an_archive_made_on_a_mac_keeps_its_split(
    tmp_path: Path, data: Path, open_data: Callable[..., Source]
) -> None:
    """The folder __MACOSX does not turn train and test into classes."""
    touch(data, "train/a/1.png", "test/a/2.png", "__MACOSX/train/a/._1.png")
    source = open_data(archive_of(data, tmp_path / "d.zip"))
    assert labels(source) == {"train/a/1.png": "a", "test/a/2.png": "a"}


def test_errors_name_the_archive_itself(
    tmp_path: Path, data: Path, open_data: Callable[..., Source]
) -> None:
    """The message names the user's file, not the folder that it was unpacked to."""
    archive = archive_of(touch(data, "1.png", "2.png"), tmp_path / "d.zip")
    with pytest.raises(DataError) as caught:
        open_data(archive)
    assert str(caught.value) == NO_CLASSES.format(archive)


def test_a_table_is_recognised_by_its_name(data: Path, open_data: Callable[..., Source]) -> None:
    """The rows of a CSV file are listed."""
    picture(1).save(data / "1.png")
    (data / "list.csv").write_text("path,label\n1.png,a\n")
    source = open_data(data / "list.csv")
    assert source.name == "list"
    assert labels(source) == {"1.png": "a"}


def test_the_home_folder_is_expanded(
    data: Path, open_data: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leading ~ is the user's home."""
    monkeypatch.setenv("HOME", str(data))
    touch(data, "pets/a/1.png", "pets/b/2.png")
    assert labels(open_data("~/pets")) == {"a/1.png": "a", "b/2.png": "b"}


def test_files_are_walked_in_a_fixed_order(data: Path) -> None:
    """Files are sorted, those of a folder before those of its subfolders."""
    touch(data, "b/2", "b/1", "a/3", "z", "a/c/4")
    found = [path.relative_to(data).as_posix() for path in walk_files(data)]
    assert found == ["z", "a/3", "a/c/4", "b/1", "b/2"]


def test_what_is_left_out_is_named(data: Path, open_data: Callable[..., Source]) -> None:
    """Folders, files of other kinds and empty classes."""
    touch(data, "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    touch(data, "new ones/5.png", "train/a/1.txt", "train/a/2.txt", "notes.pdf")
    (data / "train/empty").mkdir()
    source = open_data(data)
    assert source.understood == (
        "Split: folders 'test' (test), 'train' (train). Labels: the folders in them.",
        "Files that are not images: 2 .txt, 1 .pdf.",
    )
    assert source.warnings == (
        (
            "Left out: 'new ones' (1 image), which is neither a class nor a labelled part of the "
            "split."
        ),
        "Left out, because they have no images: 'empty'.",
    )


def test_formats_that_are_not_read_are_rejected_by_name(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """They are not ignored."""
    source = open_data(touch(data, "a/1.png", "b/2.dng"))
    assert [entry.rejected for entry in source.entries] == [
        None,
        ".dng files are not supported; convert it to .png or .jpg",
    ]


@pytest.mark.parametrize(
    "folder",
    ["@eaDir", "#recycle", "lost+found", "$RECYCLE.BIN", ".Trash-1000", "__MACOSX", ".git"],
)
def test_folders_of_the_system_are_skipped(
    data: Path, open_data: Callable[..., Source], folder: str
) -> None:
    """At the top and within classes."""
    touch(data, "a/1.png", "b/2.png", f"{folder}/3.png", f"a/{folder}/4.png")
    assert labels(open_data(data)) == {"a/1.png": "a", "b/2.png": "b"}


def test_class_names_are_composed(data: Path, open_data: Callable[..., Source]) -> None:
    """Both Unicode forms of a name are one class."""
    names = [unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD")]
    touch(data, f"train/{names[0]}/1.png", f"test/{names[1]}/2.png", "train/b/3.png")
    assert set(labels(open_data(data)).values()) == {names[0], "b"}


def test_a_table_beside_the_images_is_suggested(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """Images without class folders may have their labels there."""
    touch(data, "1.png", "2.png")
    (data / "labels.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    with pytest.raises(DataError) as caught:
        open_data(data)
    assert str(caught.value) == (
        f"'{data}' has images but no class folders. If a table has the labels, pass it instead: "
        f"'{data / 'labels.csv'}'."
    )


def test_a_table_says_how_it_was_read(data: Path, open_data: Callable[..., Source]) -> None:
    """Columns that are used, columns that are not, and an unusual form."""
    touch(data, "1.png", "2.png")
    (data / "t.csv").write_text(
        "File;Class;is_test;PatientID;width\n1.png;a;0;x;8\n2.png;b;1;y;8\n"
    )
    source = open_data(data / "t.csv")
    assert source.understood == (
        (
            "Columns: images from 'File', labels from 'Class', split from 'is_test', groups from "
            "'PatientID'."
        ),
        "Unused columns: width.",
        "The table is separated by semicolons.",
    )
    assert [(entry.label, entry.split, entry.group) for entry in source.entries] == [
        ("a", "train", "x"),
        ("b", "test", "y"),
    ]


def test_a_table_of_missing_files_is_an_error(data: Path, open_data: Callable[..., Source]) -> None:
    """The message says where they are."""
    touch(data, "images/1.png")
    (data / "t.csv").write_text("path,label\n1.png,a\n")
    with pytest.raises(DataError, match=r"There is 'images/1\.png'"):
        open_data(data / "t.csv")


@pytest.mark.parametrize(
    ("value", "what"),
    [(None, "None"), ("", "''"), (7, "a value of type int"), ([1], "a value of type list")],
)
def test_data_that_is_not_a_path_is_an_error(
    open_data: Callable[..., Source], value: object, what: str
) -> None:
    """An empty path is not the current folder."""
    with pytest.raises(DataError) as caught:
        open_data(value)
    assert str(caught.value) == (
        f"Data must be the path of a folder, a table or an archive, not {what}."
    )


def test_a_url_is_an_error(open_data: Callable[..., Source]) -> None:
    """Headstart downloads no data."""
    with pytest.raises(DataError, match=r"^Data 'https://x\.org/a\.zip' is a URL\. Download it"):
        open_data("https://x.org/a.zip")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("t.xlsx", "Save it as a CSV file."), ("t.txt", "Save it"), ("t.7z", "Unpack it first.")],
)
def test_files_that_can_be_converted(
    data: Path, open_data: Callable[..., Source], name: str, hint: str
) -> None:
    """The message says how."""
    with pytest.raises(DataError, match=hint):
        open_data(touch(data, name) / name)


def test_a_json_file_that_has_no_boxes(data: Path, open_data: Callable[..., Source]) -> None:
    """The message says why, if it may be meant as boxes."""
    for text, problem in (
        ("", "it is empty"),
        ('{"images": ', "it is not valid JSON: Expecting value: line 1 column 12 (char 11)"),
        ("[1]", "it is a list, and COCO's JSON is an object with the lists 'images', 'anno"),
        ('{"images": [], "categories": []}', "it has no list 'annotations', which COCO's JSON"),
    ):
        (data / "t.json").write_text(text)
        with pytest.raises(DataError) as caught:
            open_data(data / "t.json")
        start = f"'{data / 't.json'}' has no boxes that can be read: {problem}"
        assert str(caught.value).startswith(start)


def test_a_folder_of_tables_is_an_error(data: Path, open_data: Callable[..., Source]) -> None:
    """One of them is what to pass."""
    with pytest.raises(DataError, match=r"no images, but tables\. Pass one of them: 'part-0\.parq"):
        open_data(touch(data, "part-1.parquet", "part-0.parquet"))


def test_a_table_with_only_training_images_has_no_split(
    data: Path, open_data: Callable[..., Source]
) -> None:
    """Test images are held out then, as without the column, and it is said."""
    touch(data, "1.png", "2.png")
    (data / "t.csv").write_text("path,label,split\n1.png,a,train\n2.png,b,train\n")
    source = open_data(data / "t.csv")
    assert [entry.split for entry in source.entries] == [None, None]
    assert source.understood[-1] == "The given split has only training images, so it is not used."


def test_a_column_without_repeated_values_is_not_guessed(tmp_path: Path) -> None:
    """A case for each image is not a group, and neither is a single one for all of them."""
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    for cases in (("1", "2", "3"), ("1", "1", "1")):
        rows = [f"{number}.png,cat,{case}" for number, case in enumerate(cases)]
        (tmp_path / "table.csv").write_text("\n".join(["path,label,case_no", *rows]))
        source = open_source(tmp_path / "table.csv", staging=tmp_path)
        assert (source.guessed_group, source.warnings) == (None, ())
        assert {entry.guessed_group for entry in source.entries} == {None}
