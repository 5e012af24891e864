"""A project: its folder, its journal and its table."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import headstart as hs
from headstart.data.boxes.labels import LabelledBox, read_boxes
from headstart.data.labels import read_labels
from headstart.errors import DataError, OutputError, ProjectError
from headstart.studio.acts import Box, Draw, Drop, Label, SetKind, Undo
from headstart.studio.project import HIDDEN, Project
from headstart.studio.table import TABLE
from tests.conftest import COLOURS, picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with two classes of images, and one image in neither."""
    for number, (name, colour) in enumerate((("blue", "blue"), ("red", "red"))):
        (tmp_path / name).mkdir()
        for index in range(4):
            picture(index + 100 * number, COLOURS[colour]).save(tmp_path / name / f"{index}.png")
    picture(50, COLOURS["red"]).save(tmp_path / "loose.png")
    return tmp_path


def add(
    project: Project, name: str, data: bytes, labels: tuple[str, ...] = (), group: str = ""
) -> list[str]:
    """Drop a file into a project, and return its images."""
    project.incoming.mkdir(exist_ok=True)
    file = project.incoming / "file"
    file.write_bytes(data)
    return project.add_file(name, file, labels, group)


def test_class_folders_are_labels(photos: Path) -> None:
    """Images in class folders have a label, others have none, and nothing is moved."""
    before = sorted(photos.rglob("*.png"))
    with Project(photos) as project:
        items = project.labels.items
        assert project.labels.classes == ("blue", "red")
        assert items["red/2.png"].labels == ("red",)
        assert items["loose.png"].labels is None
        assert len(items) == 9
    assert sorted(photos.rglob("*.png")) == before


def test_everything_is_there_again(photos: Path) -> None:
    """What was said before a crash is known after it, and can still be undone."""
    project = Project(photos)
    project.do(Label({"loose.png": ("red",)}))
    project.do(Drop(("blue/0.png",)))
    project._open.close()  # As if the process had ended.
    with Project(photos) as again:
        assert again.labels.items == project.labels.items
        again.do(Undo())
        again.do(Undo())
        assert again.labels.items["loose.png"].labels is None
        assert not again.labels.items["blue/0.png"].dropped


def test_a_project_that_was_copied(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is the same elsewhere, with the images that were dropped into it."""
    with Project(photos) as project:
        add(project, "new.png", (photos / "loose.png").read_bytes(), ("red",))
    copy = shutil.copytree(photos, tmp_path_factory.mktemp("mailed") / "copy")
    with Project(copy) as again:
        assert again.labels.items == project.labels.items
        assert all(again.path_of(name).is_file() for name in again.labels.items)


def test_a_line_that_was_cut_off(photos: Path) -> None:
    """A crash in the middle of a line costs that line, which nobody was told of."""
    with Project(photos) as project:
        project.do(Label({"loose.png": ("red",)}))
    journal = photos / HIDDEN / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"act": "label", "labels": {"loo')
    with Project(photos) as again:
        assert again.damaged == 1
        again.do(Label({"loose.png": ("blue",)}))
    with Project(photos) as last:
        assert last.labels.items["loose.png"].labels == ("blue",)


def test_what_changes_nothing_is_not_kept(photos: Path) -> None:
    """There is no step to undo, and no line in the journal."""
    with Project(photos) as project:
        project.do(Label({"red/0.png": ("red",)}))
        assert not project.labels.can_undo
        assert project.labels.number == 1  # The images that were found.


@pytest.mark.parametrize("name", ["NA", "a|b", "x" * 201])
def test_folders_whose_names_cannot_be_classes(tmp_path: Path, name: str) -> None:
    """Their images are there, without a label."""
    for number, folder in enumerate((name, "red")):
        (tmp_path / folder).mkdir()
        picture(number, COLOURS["red"]).save(tmp_path / folder / "0.png")
    with Project(tmp_path) as project:
        assert {item.labels for item in project.labels.items.values()} == {None, ("red",)}


def test_a_single_folder_is_no_class(tmp_path: Path) -> None:
    """It is only where the images are."""
    (tmp_path / "raw").mkdir()
    picture(0, COLOURS["red"]).save(tmp_path / "raw" / "0.png")
    with Project(tmp_path) as project:
        assert project.labels.items["raw/0.png"].labels is None


def test_a_file_whose_name_is_not_text(tmp_path: Path) -> None:
    """It cannot be written to the journal, and is left out."""
    picture(0, COLOURS["red"]).save(tmp_path / "0.png")
    shutil.copy(tmp_path / "0.png", os.fsencode(tmp_path) + b"/Gr\xf6sse.png")
    with Project(tmp_path) as project:
        assert list(project.labels.items) == ["0.png"]


def test_a_table_of_the_user(photos: Path) -> None:
    """It is not replaced."""
    (photos / TABLE).write_text("path,label\n")
    with pytest.raises(ProjectError, match="Rename it"):
        Project(photos)
    assert (photos / TABLE).read_text() == "path,label\n"


def test_what_comes_into_the_folder(photos: Path) -> None:
    """Images that others add are found; a row of a later version is skipped."""
    with Project(photos) as project:
        picture(60, COLOURS["blue"]).save(photos / "blue" / "new.png")
        assert project.find_new() == 1
        assert project.labels.items["blue/new.png"].labels == ("blue",)
        assert project.find_new() == 0
    with (photos / HIDDEN / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"act": "paint", "images": []}) + "\n")
    with Project(photos) as again:
        assert again.damaged == 1
        assert len(again.labels.items) == 10


def test_files_that_are_dropped_into_it(tmp_path: Path) -> None:
    """They are kept by content: no name replaces another file, and no folder is left."""
    with Project(tmp_path / "empty") as project:
        (first,) = add(project, "../../a.png", b"one", ("rust",), "burst-1")
        (second,) = add(project, "a.png", b"two")
        assert add(project, "a.png", b"one") == [first]
        project.do(Drop((first,)))
        assert add(project, "a.png", b"one") == [first]
        assert not project.labels.items[first].dropped
        assert add(project, "a.png", b"two", ("rust",)) == [second]
        assert project.labels.items[second].labels == ("rust",)
        with pytest.raises(DataError, match=r"'notes\.txt' is not an image"):
            add(project, "notes.txt", b"text")
        assert (first, second) == (".studio/images/a.png", ".studio/images/a-2.png")
        assert project.path_of(second).read_bytes() == b"two"
        assert project.labels.items[first].group == "burst-1"
        with pytest.raises(ProjectError, match="not in the project"):
            project.path_of("../secret.png")


def test_the_table_is_what_train_reads(photos: Path) -> None:
    """All labels are in the table, without images that were dropped or have no label."""
    with Project(photos) as project:
        project.do(Label({"loose.png": ("red",)}))
        project.do(Drop(("blue/0.png",)))
    images = hs.open_images(photos / TABLE)
    assert images.classes == ("blue", "red")
    assert sorted(images.all.names) == sorted(
        ["blue/1.png", "blue/2.png", "blue/3.png", "loose.png"]
        + [f"red/{index}.png" for index in range(4)]
    )


def test_a_table_of_several_labels(photos: Path) -> None:
    """An image has all of its labels, or none; one that nobody has labelled is not there."""
    with Project(photos) as project:
        project.do(SetKind("multi"))
        project.do(Label({"red/0.png": ("dark", "red"), "red/1.png": ()}))
    table = hs.open_images(photos / TABLE, task="multi").all.table
    texts = dict(zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert read_labels(texts["red/0.png"]) == {"dark": True, "red": True}
    assert read_labels(texts["red/1.png"]) == {}
    assert len(texts) == 8


def test_a_table_of_boxes(tmp_path: Path) -> None:
    """Images have their boxes, or none."""
    for index in range(3):
        picture(index, COLOURS["red"], side=64).save(tmp_path / f"{index}.png")
    with Project(tmp_path) as project:
        project.do(SetKind("boxes"))
        project.do(Draw("0.png", (Box("car", 1, 2, 30, 40), Box("cat", 5, 5, 20.5, 20))))
        project.do(Draw("1.png", ()))
    images = hs.open_images(tmp_path / TABLE, task="boxes")
    assert images.classes == ("car", "cat")
    texts = images.all.table["label"].to_pylist()
    found = {name: read_boxes(text) for name, text in zip(images.all.names, texts, strict=True)}
    assert found == {
        "0.png": [LabelledBox("car", 1, 2, 30, 40), LabelledBox("cat", 5, 5, 20.5, 20)],
        "1.png": [],
    }


def test_an_archive_that_is_dropped(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its class folders are labels; one that is damaged or unsafe is refused, and nothing stays."""
    archive = Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "a"), "zip", photos))
    with Project(tmp_path_factory.mktemp("empty")) as project:
        found = add(project, "photos.zip", archive.read_bytes())
        assert len(found) == 9
        assert project.labels.classes == ("blue", "red")
        labels = [project.labels.items[name].labels for name in found if name.endswith("red/1.png")]
        assert labels == [("red",)]
        assert all(project.path_of(name).is_file() for name in found)
        for data in (b"no archive", archive.read_bytes()[:2000]):
            with pytest.raises(DataError, match=r"damaged\.zip"):
                add(project, "damaged.zip", data)
        assert not list(project.incoming.iterdir())
        unsafe = io.BytesIO()
        with zipfile.ZipFile(unsafe, "w") as file:
            file.writestr("../../out.png", b"data")
        with pytest.raises(DataError, match=r"out\.png"):
            add(project, "unsafe.zip", unsafe.getvalue())
    with Project(project.folder) as again:
        assert again.labels.items == project.labels.items


def test_two_studios_on_one_folder(photos: Path) -> None:
    """The second one says so, also from another process; afterwards the folder is free."""
    code = (
        "import pathlib, sys, headstart.studio.project as p; p.Project(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(photos)]
    with Project(photos):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Another studio has" in other.stderr
    Project(photos).__exit__(None, None, None)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in place of the folder, as root ignores permissions."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="which cannot be written"):
        Project(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "kept"),
    [("..", "image"), ("", "image"), ("a\\b\\c.png", "c.png"), ("a\0.png", "a_.png")],
)
def test_names_that_browsers_send(tmp_path: Path, name: str, kept: str) -> None:
    """Whatever the name, the file lies in the project's folder of images."""
    with Project(tmp_path) as project:
        data = b"\x89PNG\r\n\x1a\n" + bytes(20)
        assert add(project, name, data) == [f"{HIDDEN}/images/{kept}"]
        with pytest.raises(OutputError, match="cannot be kept"):
            add(project, "x" * 300 + ".png", data)
