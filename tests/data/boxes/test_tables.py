"""Tables of boxes: a row for each, or a list of them in a column."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.data.boxes.labels import LabelledBox
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
    parts,
    reasons,
    write,
    write_csv,
)
from tests.data.files import encoded

HEADER = "path,x1,y1,x2,y2,label"
TENSORFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax"


def row(name: str, box: LabelledBox) -> list[object]:
    """Return a row of the plain table."""
    return [name, *box.corners, box.label]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images."""
    for name in ("a.png", "b.png", "c.png"):
        image(tmp_path / "data" / name)
    return tmp_path / "data"


def test_a_row_for_each_box(folder: Path) -> None:
    """A row without a box is background."""
    rows = [row("a.png", CAT), row("b.png", DOG), row("a.png", DOG), ["c.png", "", "", "", "", ""]]
    file = write_csv(folder / "boxes.csv", HEADER, *rows)
    for data in (file, folder):
        source = opened(data)
        assert boxes_in(source) == {"a.png": [CAT, DOG], "b.png": [DOG], "c.png": []}
    assert source.understood == (
        "The table is 'boxes.csv'.",
        "Columns: images from 'path', boxes from 'x1', 'y1', 'x2', 'y2', labels from 'label'.",
    )
    assert source.boxes == "the table 'boxes.csv'"


def test_names_of_tensorflow(folder: Path) -> None:
    """With the size of each image, which boxes follow if it was resized."""
    rows = [["a.png", 60, 40, "cat", 5, 10, 25, 30], ["b.png", 120, 80, "cat", 10, 20, 50, 60]]
    source = opened(write_csv(folder / "boxes.csv", TENSORFLOW, *rows))
    assert boxes_in(source) == {"a.png": [CAT], "b.png": [CAT]}
    assert len(source.warnings) == 1


@pytest.mark.parametrize(
    "header",
    [
        "ImageID,LabelName,XMin,YMin,XMax,YMax",
        "image,category,left,top,right,bottom",
        "img,name_of,x_min,y_min,x_max,y_max",
    ],
)
def test_names_of_columns(folder: Path, header: str) -> None:
    """As in other public sets; a column of another name must be the label."""
    header = header.replace("name_of", "class_name")
    source = opened(write_csv(folder / "boxes.csv", header, ["a.png", "cat", 5, 10, 25, 30]))
    assert boxes_in(source) == {"a.png": [CAT]}


@pytest.mark.parametrize(
    "header",
    [
        "path,x,y,w,h,label",
        "path,left,top,width,height,label",
        "path,bbox_x,bbox_y,bbox_width,bbox_height,label",
        "path,x,y,width,height,label,image_width,image_height",
    ],
)
def test_width_and_height_in_place_of_corners(folder: Path, header: str) -> None:
    """As in COCO, and it is said how they were read. The size of the image may be there too."""
    size = [120, 80] if "image_width" in header else []
    scale = 2 if size else 1
    box = [scale * side for side in (5, 10, 20, 20)]
    file = write_csv(folder / "boxes.csv", header, ["a.png", *box, "cat", *size])
    for data in (file, folder):
        source = opened(data)
        assert boxes_in(source) == {"a.png": [CAT]}
        names = ", ".join(f"'{name}'" for name in header.split(",")[1:5])
        assert f"boxes from {names} (left, top, width and height), labels from 'label'" in (
            " ".join(source.understood)
        )


def test_the_size_of_the_image_is_not_that_of_a_box(folder: Path) -> None:
    """If one of the corners' columns is missing, that is said."""
    file = write_csv(folder / "boxes.csv", TENSORFLOW.replace("ymax", "y_end"))
    with pytest.raises(DataError) as raised:
        opened(file, "boxes")
    assert str(raised.value).startswith(
        f"Table '{file}' has no columns of boxes: 'xmin', 'ymin', 'xmax', but not 'ymax'. It needs"
    )


def test_centres_in_place_of_corners(folder: Path) -> None:
    """Boxes at the edges leave their images, so the user is asked."""
    rows = [["a.png", 50, 30, 20, 20, "cat"], ["b.png", 15, 20, 20, 20, "cat"]]
    assert opened(write_csv(folder / "boxes.csv", "path,x,y,w,h,label", *rows)).warnings[-1] == (
        "1 of 2 boxes leaves the image: are x and y the centre of the box, or are these x1, y1, x2 "
        "and y2?"
    )


def test_splits_groups_and_slices(folder: Path) -> None:
    """Other columns mean what they mean in other tables."""
    header = f"{HEADER},split,group,site,notes"
    rows = [
        [*row("a.png", CAT), "train", "g1", "north", ""],
        [*row("b.png", CAT), "test", "g2", "south", ""],
    ]
    source = opened(write_csv(folder / "boxes.csv", header, *rows), slices=("site",))
    assert parts(source) == {"a.png": "train", "b.png": "test"}
    assert [entry.group for entry in source.entries] == ["g1", "g2"]
    assert [entry.slices for entry in source.entries] == ['{"site":"north"}', '{"site":"south"}']
    assert source.understood[0].endswith(
        "labels from 'label', split from 'split', groups from 'group', slices from 'site'."
    )
    assert source.understood[1] == "Unused columns: notes."


def test_groups_by_the_path(folder: Path) -> None:
    """A regular expression works as for other data."""
    file = write_csv(folder / "boxes.csv", HEADER, row("a.png", CAT), row("b.png", DOG))
    source = opened(file, group="^(.)")
    assert [entry.group for entry in source.entries] == ["a", "b"]


def test_tables_of_the_parts_of_a_split(tmp_path: Path) -> None:
    """As in the tutorials of TensorFlow: images elsewhere, and a table of all that is not used."""
    folder = tmp_path / "data"
    for name in ("a.png", "b.png"):
        image(folder / "images" / name)
        write(folder / "annotations" / name.replace("png", "xml"), "<annotation/>")
    rows = {name: [name, 60, 40, "cat", 5, 10, 25, 30] for name in ("a.png", "b.png")}
    write_csv(folder / "data/train_labels.csv", TENSORFLOW, rows["a.png"])
    write_csv(folder / "data/test_labels.csv", TENSORFLOW, rows["b.png"])
    write_csv(folder / "data/all_labels.csv", TENSORFLOW, *rows.values())
    source = opened(folder)
    assert parts(source) == {"images/b.png": "test", "images/a.png": "train"}
    assert boxes_in(source) == {"images/b.png": [CAT], "images/a.png": [CAT]}
    assert source.understood[0] == (
        "Split: the tables 'data/test_labels.csv' (test), 'data/train_labels.csv' (train)."
    )
    assert source.understood[-1] == ("Boxes that are also in Pascal VOC's XML files are not read.")
    assert boxes_in(opened(folder / "data/train_labels.csv")) == {"images/a.png": [CAT]}


def test_several_tables_that_are_not_parts(folder: Path) -> None:
    """It is unclear which one is meant."""
    for name in ("one.csv", "two.csv"):
        write_csv(folder / name, HEADER, row("a.png", CAT))
    with pytest.raises(DataError, match=r"has several tables with boxes: 'one.csv', 'two.csv'\."):
        opened(folder)


def test_an_image_in_two_parts_is_rejected(folder: Path) -> None:
    """Whether tables or rows say so."""
    rows = [
        [*row("a.png", CAT), "train"],
        [*row("a.png", DOG), "test"],
        [*row("b.png", CAT), "val"],
    ]
    source = opened(write_csv(folder / "boxes.csv", f"{HEADER},split", *rows))
    assert reasons(source) == {"a.png": "it is both in train and in test"}


def test_shares_are_converted(folder: Path) -> None:
    """As in Open Images, whose coordinates are all between 0 and 1."""
    shares = LabelledBox("cat", 0.25, 0.25, 0.5, 1)
    source = opened(write_csv(folder / "boxes.csv", HEADER, row("a.png", shares)))
    assert boxes_in(source) == {"a.png": [LabelledBox("cat", 15, 10, 30, 40)]}
    assert "so they are shares of the image's width and height" in source.understood[-1]


def test_rows_that_are_wrong(folder: Path) -> None:
    """Their boxes are left out, and named by the line of the file; images keep the others."""
    rows = [
        row("a.png", CAT),
        ["a.png", 1, 2, 3, 4, ""],
        ["b.png", 1, "", 3, 4, "cat"],
        row("b.png", CAT),
        row("d.png", CAT),
        ["c.png", "", "", "", "", "dog"],
    ]
    file = write_csv(folder / "boxes.csv", HEADER, *rows)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(["sep=,", lines[0], "", *lines[1:3], "", *lines[3:]]))
    source = opened(file)
    assert reasons(source) == {"d.png": f"the file '{folder / 'd.png'}' does not exist"}
    assert boxes_in(source) == {"a.png": [CAT], "b.png": [CAT], "c.png": []}
    assert source.warnings == (
        "Boxes without a label, left out: 1 ('a.png in line 5').",
        (
            "Rows with a label but without coordinates, of which no box is read: 1 ('c.png in line "
            "10')."
        ),
        "Boxes with a coordinate that is not a number, left out: 1 ('b.png').",
    )


def test_crowds(folder: Path) -> None:
    """A column may mark them."""
    source = opened(write_csv(folder / "boxes.csv", f"{HEADER},iscrowd", [*row("a.png", CAT), 1]))
    assert boxes_in(source) == {"a.png": [CAT._replace(crowd=True)]}


def test_a_table_of_boxes_as_labels(folder: Path) -> None:
    """If the user wants labels, those of the boxes are the labels of their images."""
    file = write_csv(folder / "boxes.csv", HEADER, row("a.png", CAT), row("a.png", DOG))
    source = open_source(file, folder / "staging", Interpretation(Labelling("multi")))
    assert [entry.label for entry in source.entries] == ['{"cat":1,"dog":1}']
    assert open_source(file, folder, Interpretation(Labelling("single"))).task == "single"


def test_tables_without_boxes(folder: Path) -> None:
    """Are an error only if boxes are wanted."""
    file = write_csv(folder / "labels.csv", "path,label", ["a.png", "cat"], ["b.png", "dog"])
    assert open_source(file, staging=folder).task == "single"
    with pytest.raises(DataError) as raised:
        opened(file, "boxes")
    assert str(raised.value) == (
        f"Table '{file}' has no columns of boxes. It needs x1, y1, x2 and y2; xmin, ymin, xmax and "
        "ymax; or x, y, w and h."
    )
    labelling = Labelling("auto", uncertain="present")
    file = write_csv(folder / "boxes.csv", HEADER, row("a.png", CAT))
    with pytest.raises(OptionError, match=r"--uncertain 'present' has no effect for boxes. Remove"):
        open_source(file, folder, Interpretation(labelling))


def test_many_boxes_of_an_image_are_fast(folder: Path) -> None:
    """5,000 rows of one image."""
    rows = [["a.png", 0, 0, 10 + number / 200, 20, "cat"] for number in range(5000)]
    source = opened(write_csv(folder / "boxes.csv", HEADER, *rows))
    assert len(boxes_in(source)["a.png"]) == 5000


FEATURES = {
    "struct": {"feature": {"bbox": {}, "category": {"names": ["cat", "dog"]}}, "_type": "Sequence"},
    "lists": {"bbox": {}, "category": {"feature": {"names": ["cat", "dog"]}, "_type": "List"}},
    "list": [{"bbox": {}, "category": {"names": ["cat", "dog"], "_type": "ClassLabel"}}],
}


@pytest.mark.parametrize("form", list(FEATURES))
@pytest.mark.parametrize("column", ["objects", "annotations"])
def test_hugging_face(tmp_path: Path, form: str, column: str) -> None:
    """A struct of lists or a list of structs, with numbers that the file's metadata names."""
    boxes, categories = [[5.0, 10.0, 20.0, 20.0], [30.0, 0.0, 30.0, 40.0]], [0, 1]
    as_lists = [{"bbox": boxes, "category": categories}, {"bbox": [], "category": []}]
    as_list = [
        [{"bbox": box, "category": one} for box, one in zip(boxes, categories, strict=True)],
        [],
    ]
    for part in ("train", "test"):
        images = [encoded(Image.new("RGB", (60, 40), (9 * n, 0, len(part))), "PNG") for n in (0, 9)]
        table = pa.table(
            {
                "image_id": [1, 2],
                "image": [{"bytes": data, "path": None} for data in images],
                "width": [60, 60],
                "height": [40, 40],
                column: as_list if form == "list" else as_lists,
            }
        )
        info = {"info": {"features": {column: FEATURES[form]}}}
        path = tmp_path / f"data/{part}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {
        "test-00000-of-00001.parquet/row 1": [CAT, DOG],
        "test-00000-of-00001.parquet/row 2": [],
        "train-00000-of-00001.parquet/row 1": [CAT, DOG],
        "train-00000-of-00001.parquet/row 2": [],
    }
    assert set(parts(source).values()) == {"train", "test"}
    assert f"Columns: images from 'image', boxes from '{column}'." in source.understood


def test_categories_that_have_no_name(tmp_path: Path) -> None:
    """Their boxes are left out."""
    image(tmp_path / "data/a.png")
    image(tmp_path / "data/b.png")
    objects = [{"bbox": [[5.0, 10.0, 20.0, 20.0]], "category": [number]} for number in (0, 7)]
    table = pa.table({"path": ["a.png", "b.png"], "objects": objects})
    info = {"info": {"features": {"objects": FEATURES["lists"]}}}
    path = tmp_path / "data/boxes.parquet"
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    source = opened(path)
    assert boxes_in(source) == {"a.png": [CAT], "b.png": []}
    assert source.warnings == (
        "Boxes of a category that the table does not name, left out: 1 ('b.png in row 2').",
    )


def test_images_of_different_sizes(folder: Path) -> None:
    """Two rows of an image contradict each other."""
    rows = [["a.png", 60, 40, "cat", 5, 10, 25, 30], ["a.png", 30, 20, "cat", 1, 2, 3, 4]]
    rows.append(["b.png", 60, 40, "cat", 5, 10, 25, 30])
    source = opened(write_csv(folder / "boxes.csv", TENSORFLOW, *rows))
    assert reasons(source) == {"a.png": "its annotations are for images of different sizes"}


def test_splits_that_are_not_understood(folder: Path) -> None:
    """The row is named; a column beside names of tables is one split too many."""
    row_of_a = [*row("a.png", CAT), "holiday"]
    file = write_csv(folder / "boxes.csv", f"{HEADER},split", row_of_a)
    with pytest.raises(DataError, match=r"The split in line 2 of .* is not understood: 'holiday'"):
        opened(file)
    file.unlink()
    for part in ("train", "test"):
        write_csv(folder / f"{part}.csv", f"{HEADER},split", [*row("a.png", CAT), part])
    with pytest.raises(DataError, match=r"It is unclear whether the split of .* is in its name"):
        opened(folder)


def test_columns_that_are_empty(folder: Path) -> None:
    """A column of the split without any value is said to be empty."""
    file = write_csv(folder / "boxes.csv", f"{HEADER},split", [*row("a.png", CAT), ""])
    assert "Empty columns: split." in opened(file).understood


def test_tables_without_rows(folder: Path) -> None:
    """There is nothing to read."""
    with pytest.raises(DataError, match="has no rows below the names of its columns"):
        opened(write_csv(folder / "boxes.csv", HEADER))


def test_tables_of_other_kinds(folder: Path) -> None:
    """Lines of JSON, tabs, and a table that is damaged, which is not one of boxes."""
    lines = [dict(zip(HEADER.split(","), row("a.png", CAT), strict=True))]
    write(folder / "boxes.jsonl", "\n".join(map(json.dumps, lines)))
    write(folder / "damaged.parquet", "nothing")
    write(folder / "other.csv", "path,label\nb.png,cat\n")
    assert boxes_in(opened(folder)) == {"a.png": [CAT]}
    (folder / "boxes.jsonl").unlink()
    write(folder / "boxes.tsv", "\t".join(HEADER.split(",")) + "\na.png\t5\t10\t25\t30\tcat\n")
    source = opened(folder)
    assert boxes_in(source) == {"a.png": [CAT]}
    assert source.understood[-1] == "The table is separated by tabs."


def test_a_path_that_is_missing(folder: Path) -> None:
    """Its row has no image."""
    rows = [["", 5, 10, 25, 30, "cat"], row("a.png", CAT), ["", 1, 2, 3, 4, "cat"]]
    source = opened(write_csv(folder / "boxes.csv", HEADER, *rows))
    assert reasons(source) == {"row 1": "its path is missing", "row 3": "its path is missing"}


@pytest.mark.parametrize("box", [[5.0, 10.0, 20.0], None])
def test_objects_that_are_not_boxes(folder: Path, box: list[float] | None) -> None:
    """They are left out. Metadata that is not Hugging Face's is ignored."""
    right = [5.0, 10.0, 20.0, 20.0]
    objects = [
        {"bbox": [box, right], "label": ["cat", "cat"]},
        {"bbox": [right, right], "label": ["cat", None]},
    ]
    table = pa.table({"path": ["a.png", "b.png"], "objects": objects})
    metadata = {"huggingface": '{"info": {"features": {"objects": {"bbox": 1}}}}'}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "boxes.parquet")
    source = opened(folder / "boxes.parquet")
    assert boxes_in(source) == {"a.png": [CAT], "b.png": [CAT]}
    assert source.warnings == (
        "Boxes that do not have four numbers, left out: 1 ('a.png in row 1').",
        "Boxes without a label, left out: 1 ('b.png in row 2').",
    )


def test_a_column_of_other_objects(folder: Path) -> None:
    """Is not one of boxes."""
    table = pa.table({"path": ["a.png", "b.png"], "label": ["x", "y"], "objects": [1, 2]})
    pq.write_table(table, folder / "labels.parquet")
    assert open_source(folder / "labels.parquet", staging=folder).task == "single"
