"""Boxes are found in folders, and are not mistaken for labels nor labels for boxes."""

import shutil
from pathlib import Path

import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError
from tests.data.boxes.builders import (
    CAT,
    DOG,
    boxes_in,
    image,
    opened,
    voc_of,
    write,
    write_coco,
    write_yolo,
)


def class_folders(folder: Path, *, annotated: int) -> Path:
    """Write class folders of four images each, of which so many have an annotation beside them."""
    names = [f"{label}/{number}" for number in range(4) for label in ("cat", "dog")]
    for place, name in enumerate(names):
        image(folder / f"{name}.png")
        if place < annotated:
            write(folder / f"{name}.xml", voc_of([CAT], f"{name}.png"))
    return folder


def test_folders_with_boxes_may_also_be_labels(tmp_path: Path) -> None:
    """If most images have boxes, they are taken, and that is said; the user may decide."""
    folder = class_folders(tmp_path / "data", annotated=5)
    source = opened(folder)
    assert source.understood[-1] == (
        "The folders 'cat', 'dog' might be labels: to use them, pass --task single."
    )
    source = open_source(folder, tmp_path, Interpretation(Labelling("single")))
    assert source.task == "single"
    assert {entry.label for entry in source.entries} == {"cat", "dog"}
    assert len(source.entries) == 8


def test_class_folders_stay_class_folders(tmp_path: Path) -> None:
    """If few images have boxes, they are not taken, and that is said; the user may decide."""
    folder = class_folders(tmp_path / "data", annotated=3)
    source = open_source(folder, staging=tmp_path)
    assert source.task == "single"
    assert source.understood[-1] == (
        "The boxes in Pascal VOC's XML files are not read: to use them, pass --task boxes."
    )
    assert len(opened(folder, "boxes").entries) == 3


def test_texts_beside_images_are_not_boxes(tmp_path: Path) -> None:
    """Captions and other files."""
    folder = class_folders(tmp_path / "data", annotated=0)
    write(folder / "cat/0.txt", "a photo of a cat on 4 legs")
    write(folder / "dog/0.json", '{"categories": 1, "images": 2}')
    write(folder / "dog/1.xml", "<x:xmpmeta/>")
    write(folder / "scores.csv", "path,left,label\ncat/0.png,1,cat\n")
    source = open_source(folder, staging=tmp_path)
    assert (source.task, source.warnings) == ("single", ())
    with pytest.raises(DataError) as raised:
        opened(folder, "boxes")
    assert str(raised.value) == (
        f"'{folder}' has no boxes that can be read: 'dog/0.json': it has no list 'annotations', "
        "which COCO's JSON of boxes needs."
    )
    (folder / "dog/0.json").unlink()
    with pytest.raises(DataError) as raised:
        opened(folder, "boxes")
    assert str(raised.value) == (
        f"'{folder}' has no boxes. Pass a folder with images and files of COCO, Pascal VOC or "
        "YOLO, or a table with the columns path, x1, y1, x2, y2 and label."
    )


@pytest.mark.parametrize("task", ["single", "multi"])
def test_labels_of_a_set_of_boxes(tmp_path: Path, task: str) -> None:
    """Are refused: folders of images are no classes."""
    write_yolo(tmp_path / "yolo", {"train/a.png": [CAT], "val/b.png": [DOG]})
    with pytest.raises(DataError) as raised:
        open_source(tmp_path / "yolo", tmp_path, Interpretation(Labelling(task)))
    assert str(raised.value) == (
        f"'{tmp_path / 'yolo'}' has no class folders, but boxes in YOLO's label files. Omit "
        "--task, or pass --task boxes."
    )
    image(tmp_path / "coco/a.png")
    file = write_coco(tmp_path / "coco/boxes.json", {"a.png": [CAT]})
    with pytest.raises(DataError, match=r"has boxes\. Omit --task, or pass --task boxes\."):
        open_source(file, tmp_path, Interpretation(Labelling(task)))


def test_formats_beside_each_other(tmp_path: Path) -> None:
    """COCO's is preferred, and the others are named."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    write(folder / "xml/a.xml", voc_of([DOG], "a.png"))
    write_coco(folder / "coco.json", {"a.png": [CAT, DOG]})
    source = opened(folder)
    assert boxes_in(source) == {"images/a.png": [CAT, DOG]}
    assert source.understood[-1] == (
        "Boxes that are also in Pascal VOC's XML files and in YOLO's label files are not read."
    )


def test_an_archive_is_read_alike(tmp_path: Path) -> None:
    """The files may be in a zip."""
    write_yolo(tmp_path / "data", {"a.png": [CAT], "b.png": [DOG]})
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "data")
    source = opened(Path(packed))
    assert (source.name, len(boxes_in(source))) == ("packed", 2)


def test_options_of_tables(tmp_path: Path) -> None:
    """There are no columns to slice by or to take labels from."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    with pytest.raises(OptionError, match="these boxes are not in a table"):
        opened(folder, slices=("site",))
    with pytest.raises(OptionError, match=r"--labels 'x' has no effect for boxes. Remove it"):
        open_source(folder, tmp_path, Interpretation(Labelling("auto", labels="x")))


def test_groups_by_the_path(tmp_path: Path) -> None:
    """As for folders of classes."""
    folder = write_yolo(tmp_path / "data", {"a1.png": [CAT], "a2.png": [DOG]})
    assert {entry.group for entry in opened(folder, group=r"(\w)\d.png").entries} == {"a"}


@pytest.mark.parametrize("name", ["data.json", "data.yaml"])
def test_other_files_are_still_unknown(tmp_path: Path, name: str) -> None:
    """They have no boxes."""
    file = write(tmp_path / name, "{}")
    with pytest.raises(DataError, match="is not a folder, a table"):
        open_source(file, staging=tmp_path)


@pytest.mark.parametrize("task", ["auto", "boxes"])
def test_boxes_without_images(tmp_path: Path, task: str) -> None:
    """It is said which ones there are."""
    write_coco(tmp_path / "coco/coco.json", {"a.png": [CAT]})
    write(tmp_path / "voc/a.xml", voc_of([CAT], "a.png"))
    write_yolo(tmp_path / "yolo", {"a.png": [CAT]})
    shutil.rmtree(tmp_path / "yolo/images")
    for name, kind in (
        ("coco", "COCO's JSON ('coco.json')"),
        ("voc", "Pascal VOC's XML files ('a.xml')"),
        ("yolo", "YOLO's label files ('labels/a.txt')"),
    ):
        with pytest.raises(DataError) as raised:
            opened(tmp_path / name, task)
        assert str(raised.value) == (
            f"'{tmp_path / name}' has no images, but boxes in {kind}. Put the images there, or "
            "pass the folder that has both."
        )


HEADER = "path,x1,y1,x2,y2,label"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "boxes.csv",
            f"{HEADER}\na.png,1,2,3,4,cat\na.png,1,2\n",
            "'boxes.csv': line 3 has 3 cells, and the header 6 columns",
        ),
        (
            "boxes.csv",
            f'{HEADER}\n\na.png,"1,2,3,4,cat\na.png,1,2,3,4,cat\n',
            (
                "'boxes.csv': line 3 has 2 cells, and the header 6 columns; a quotation mark in it "
                "is not closed"
            ),
        ),
        ("boxes.csv", "", "'boxes.csv': it is empty"),
        ("boxes.csv", "\0\0\x01\x02abc", "'boxes.csv': it is not text; save it as CSV (UTF-8)"),
        (
            "boxes.csv",
            "path,x1,y1,x2,label\na.png,1,2,3,cat\n",
            "'boxes.csv': it has the columns 'x1', 'y1', 'x2' of boxes, but not 'y2'",
        ),
        (
            "boxes.csv",
            "path,x,y,w,label\na.png,1,2,3,cat\n",
            "'boxes.csv': it has the columns 'x', 'y', 'w' of boxes, but not 'h'",
        ),
        ("boxes.json", " ", "'boxes.json': it is empty"),
        (
            "boxes.json",
            '{"images": [',
            "'boxes.json': it is not valid JSON: Expecting value: line 1 column 13 (char 12)",
        ),
        (
            "boxes.json",
            "[1, 2]",
            (
                "'boxes.json': it is a list, and COCO's JSON is an object with the lists 'images', "
                "'annotations', 'categories'"
            ),
        ),
        (
            "boxes.json",
            '{"images": [], "categories": []}',
            "'boxes.json': it has no list 'annotations', which COCO's JSON of boxes needs",
        ),
        (
            "data.yaml",
            "names: [cat]",
            (
                "'data.yaml' names classes of YOLO, but no image has a label file with boxes: that "
                "of 'images/a.png' would be 'labels/a.txt'"
            ),
        ),
    ],
)
def test_why_there_are_no_boxes(tmp_path: Path, name: str, text: str, problem: str) -> None:
    """The file is named, and the line; folders of classes beside such a file are still classes."""
    folder = tmp_path / "data"
    image(folder / "images/a.png")
    write(folder / name, text)
    for task, start in (
        ("boxes", "has no boxes that can be read"),
        ("auto", "has neither several class folders nor boxes that can be read"),
    ):
        with pytest.raises(DataError) as raised:
            opened(folder, task)
        assert str(raised.value) == f"'{folder}' {start}: {problem}."
    image(folder / "dog/b.png")
    assert open_source(folder, staging=tmp_path).task == "single"


def test_a_yaml_file_that_is_not_valid(tmp_path: Path) -> None:
    """Its classes would be numbers otherwise; others that name no classes are not YOLO's."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]}, "names: [cat, dog\ntrain: : x\n")
    for data in (folder, folder / "data.yaml"):
        with pytest.raises(DataError) as raised:
            opened(data)
        assert str(raised.value).startswith(f"'{folder / 'data.yaml'}' cannot be read: expected ")
        assert str(raised.value).endswith(", line 2.")
    write(folder / "data.yaml", "names: [cat, dog]\n")
    write(folder / "other.yaml", "lists: [1, 2\n")
    assert boxes_in(opened(folder)) == {"images/a.png": [CAT]}


def test_a_broken_file_beside_others_is_named(tmp_path: Path) -> None:
    """The part of a split must not be lost in silence."""
    rows = f"{HEADER}\na.png,5,10,25,30,cat\n"
    image(tmp_path / "tables/a.png")
    write(tmp_path / "tables/train.csv", rows)
    write(tmp_path / "tables/val.csv", f"{rows}b.png,5\n")
    assert opened(tmp_path / "tables").warnings == (
        "'val.csv' is not read: line 3 has 2 cells, and the header 6 columns.",
    )
    image(tmp_path / "coco/a.png")
    write_coco(tmp_path / "coco/instances_train.json", {"a.png": [CAT]})
    write(tmp_path / "coco/instances_val.json", '{"images": [')
    write(tmp_path / "coco/other.json", "[")
    write(tmp_path / "coco/captions.json", '{"images": [], "annotations": []}')
    assert opened(tmp_path / "coco").warnings == (
        (
            "'instances_val.json' is not read: it is not valid JSON: Expecting value: line 1 "
            "column 13 (char 12)."
        ),
    )


def test_files_that_cannot_be_read_are_not_annotations(tmp_path: Path) -> None:
    """Links to nowhere have the names of all formats."""
    folder = class_folders(tmp_path / "data", annotated=0)
    for name in ("a.json", "a.xml", "cat/0.txt", "a.yaml", "a.csv", "a.parquet"):
        (folder / name).symlink_to(tmp_path / "nowhere")
    write(folder / "large.yaml", "names: [cat]\n#" + "x" * 2**22)
    assert open_source(folder, staging=tmp_path).task == "single"
