"""Boxes are found in folders, and are not mistaken for labels nor labels for boxes."""

import shutil
from pathlib import Path

import pytest

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
    source = open_source(folder, staging=tmp_path, labelling=Labelling("single"))
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
        f"'{folder}' has no boxes. Pass a folder with images and files of COCO, Pascal VOC or "
        "YOLO, or a table with the columns path, x1, y1, x2, y2 and label."
    )


@pytest.mark.parametrize("task", ["single", "multi"])
def test_labels_of_a_set_of_boxes(tmp_path: Path, task: str) -> None:
    """Are refused: folders of images are no classes."""
    write_yolo(tmp_path / "yolo", {"train/a.png": [CAT], "val/b.png": [DOG]})
    with pytest.raises(DataError) as raised:
        open_source(tmp_path / "yolo", staging=tmp_path, labelling=Labelling(task))
    assert str(raised.value) == (
        f"'{tmp_path / 'yolo'}' has no class folders, but boxes in YOLO's label files. Omit "
        "--task, or pass --task boxes."
    )
    image(tmp_path / "coco/a.png")
    file = write_coco(tmp_path / "coco/boxes.json", {"a.png": [CAT]})
    with pytest.raises(DataError, match=r"has boxes\. Omit --task, or pass --task boxes\."):
        open_source(file, staging=tmp_path, labelling=Labelling(task))


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
        opened(folder, slices=["site"])
    with pytest.raises(OptionError, match=r"--labels 'x' has no effect for boxes. Remove it"):
        open_source(folder, staging=tmp_path, labelling=Labelling("auto", labels="x"))


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


def test_a_folder_without_images_has_no_boxes(tmp_path: Path) -> None:
    """Whatever else it has."""
    write_coco(tmp_path / "data/coco.json", {"a.png": [CAT]})
    with pytest.raises(DataError, match="has no boxes"):
        opened(tmp_path / "data", "boxes")
    with pytest.raises(DataError, match="has no images"):
        open_source(tmp_path / "data", staging=tmp_path)


def test_files_that_cannot_be_read_are_not_annotations(tmp_path: Path) -> None:
    """Links to nowhere have the names of all formats."""
    folder = class_folders(tmp_path / "data", annotated=0)
    for name in ("a.json", "a.xml", "cat/0.txt", "a.yaml", "a.csv", "a.parquet"):
        (folder / name).symlink_to(tmp_path / "nowhere")
    write(folder / "large.yaml", "names: [cat]\n#" + "x" * 2**22)
    assert open_source(folder, staging=tmp_path).task == "single"
