"""YOLO's label files are read in the layouts that tools write, and mistakes in them are said."""

from pathlib import Path

import pytest

from headstart.data.boxes.labels import LabelledBox
from headstart.errors import DataError
from tests.data.boxes.builders import (
    CAT,
    DOG,
    boxes_in,
    image,
    opened,
    parts,
    reasons,
    write,
    write_yolo,
    yolo_of,
)

SET = {"a.png": [CAT, DOG], "b.png": [DOG], "c.png": []}


def near(found: dict[str, list[LabelledBox]]) -> dict[str, list[LabelledBox]]:
    """Return boxes with rounded coordinates."""
    return {
        name: [LabelledBox.of(box.label, (round(one, 2) for one in box.corners)) for box in boxes]
        for name, boxes in found.items()
    }


def test_images_and_labels(tmp_path: Path) -> None:
    """In two folders, with the names of the classes in a YAML file."""
    source = opened(write_yolo(tmp_path / "data", SET))
    assert near(boxes_in(source)) == {f"images/{name}": boxes for name, boxes in SET.items()}
    assert source.understood == ("Boxes: YOLO's label files. Classes: 'data.yaml'.",)
    assert source.warnings == ()
    assert near(boxes_in(opened(tmp_path / "data/data.yaml")))["images/b.png"] == [DOG]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/{}", "labels/{}"),
        ("{}/images", "{}/labels"),
        ("data/images/{}/obj_train_data", "data/labels/{}/obj_train_data"),
        ("{}", "{}"),
        ("JPEGImages/{}", "labels/{}"),
        ("pictures/{}", "yolo_labels/{}"),
    ],
)
def test_layouts(tmp_path: Path, images: str, labels: str) -> None:
    """Label files are found beside images, or in folders of labels at any depth."""
    folder = tmp_path / "data"
    for part, name in (("train", "a"), ("valid", "b")):
        image(folder / images.format(part) / f"{name}.png")
        write(folder / labels.format(part) / f"{name}.txt", yolo_of([CAT]))
    write(folder / "classes.txt", "cat\ndog\n\n")
    source = opened(folder)
    assert list(near(boxes_in(source)).values()) == [[CAT], [CAT]]
    assert sorted(filter(None, parts(source).values())) == ["train", "val"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "names: {1: dog, 0: cat}"),
        ("my.yml", "nc: 2\nnames:\n- cat\n- dog\n"),
        ("obj.names", "cat\ndog\n"),
        ("labels/classes.txt", "cat\r\ndog"),
        ("train/_darknet.labels", "cat\ndog\n"),
    ],
)
def test_names_of_classes(tmp_path: Path, file: str, text: str) -> None:
    """As a list or with numbers, in any of the usual files."""
    folder = write_yolo(tmp_path / "data", SET, names=None)
    write(folder / file, text)
    assert near(boxes_in(opened(folder)))["images/a.png"] == [CAT, DOG]


def test_names_stay_text(tmp_path: Path) -> None:
    """YAML would otherwise read "no" as false and 1e3 as a number."""
    folder = write_yolo(tmp_path / "data", SET, names="names: [no, 1e3]")
    assert [box.label for box in boxes_in(opened(folder))["images/a.png"]] == ["no", "1e3"]


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    """That is said."""
    source = opened(write_yolo(tmp_path / "data", SET, names=None))
    assert {box.label for box in boxes_in(source)["images/a.png"]} == {"0", "1"}
    (sentence,) = source.understood
    assert sentence == (
        "Boxes: YOLO's label files. Classes: numbers, as no data.yaml, obj.names or classes.txt "
        "names them."
    )


def test_names_that_differ(tmp_path: Path) -> None:
    """Two files of one kind must agree."""
    folder = write_yolo(tmp_path / "data", SET)
    write(folder / "old.yaml", "names: [dog, cat]")
    with pytest.raises(
        DataError, match=r"name different classes: 'cat', 'dog', and 'dog', 'cat'\."
    ):
        opened(folder)
    write(folder / "old.yaml", "names: [[cat]]")
    with pytest.raises(DataError, match=r"The names of the classes in .* are not understood"):
        opened(folder)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("D:/lane/images/first", "images/second"),
        ("../images/first", "../images/second"),
        ("./images/first/", "[images/second]"),
        ("lists/one.txt", "lists/two.txt"),
        ("first", "second"),
    ],
)
def test_the_split_of_a_yaml_file(tmp_path: Path, train: str, val: str) -> None:
    """Paths begin on another machine, as a rule, or are relative to another folder."""
    names = f"train: {train}\nval: {val}\nnames: [cat, dog]"
    folder = write_yolo(tmp_path / "data", {"first/a.png": [CAT], "second/b.png": [DOG]}, names)
    write(folder / "lists/one.txt", "/data/images/first/a.png\n")
    write(folder / "lists/two.txt", "/data/images/second/b.png\n")
    source = opened(folder)
    assert parts(source) == {"images/first/a.png": "train", "images/second/b.png": "val"}
    assert source.understood[1] == "Split: 'data.yaml'."


def test_a_split_that_cannot_be_found(tmp_path: Path) -> None:
    """Then folders name it, if they do."""
    names = "train: /other/images\nval: gone\nnames: [cat, dog]"
    folder = tmp_path / "data"
    write_yolo(folder / "train", {"a.png": [CAT]}, names)
    write_yolo(folder / "test", {"b.png": [DOG]}, None)
    source = opened(folder)
    assert parts(source) == {"test/images/b.png": "test", "train/images/a.png": "train"}
    assert source.understood[1] == "Split: folders."


def test_one_folder_for_both_parts_is_no_split(tmp_path: Path) -> None:
    """As in examples that validate on the training images."""
    names = "train: images\nval: images\nnames: [cat, dog]"
    assert set(parts(opened(write_yolo(tmp_path / "data", SET, names))).values()) == {None}


def test_images_without_labels(tmp_path: Path) -> None:
    """Background beside labelled images; left out in folders without any label."""
    folder = write_yolo(tmp_path / "data", SET)
    image(folder / "images/d.png")
    image(folder / "new/e.png")
    write(folder / "labels/lost.txt", yolo_of([CAT]))
    write(folder / "labels/train.txt", "images/a.png\n")
    source = opened(folder)
    assert boxes_in(source)["images/d.png"] == []
    assert source.warnings == (
        "Images without a label file, taken as background: 1 ('images/d.png').",
        "Images in folders without any label file, left out: 1 ('new/e.png').",
        "Label files without an image, left out: 1 ('labels/lost.txt').",
    )


def test_polygons_and_other_numbers(tmp_path: Path) -> None:
    """A polygon has a box around it; a confidence is ignored."""
    folder = write_yolo(tmp_path / "data", SET)
    text = "0 0.1 0.2 0.5 0.2 0.5 0.7\n\n1 0.5 0.5 0.5 0.5 0.93\n"
    write(folder / "labels/a.txt", text)
    source = opened(folder)
    assert near(boxes_in(source))["images/a.png"] == [
        LabelledBox("cat", 6, 8, 30, 28),
        LabelledBox("dog", 15, 10, 45, 30),
    ]
    assert source.warnings == (
        "Polygons, of which the box around them is used: 1 ('labels/a.txt').",
        "Lines with a number after the box, which is not used: 1 ('labels/a.txt').",
    )


def test_keypoints_are_not_a_polygon(tmp_path: Path) -> None:
    """A data set of poses says that it has them."""
    folder = write_yolo(tmp_path / "data", SET, "names: [cat, dog]\nkpt_shape: [2, 2]")
    write(folder / "labels/a.txt", "0 0.5 0.5 0.5 0.5 0.9 0.9 0.1 0.1\n")
    assert near(boxes_in(opened(folder)))["images/a.png"] == [LabelledBox("cat", 15, 10, 45, 30)]


_UNKNOWN = "Lines with a class that 'data.yaml' does not name, left out: 1 ('class {} in line 3 of"
_SHORT = "Lines that do not have 4 numbers after the class, left out: 1 ('line 3 of"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("7 0.5 0.5 0.5 0.5", _UNKNOWN.format(7)),
        ("-1 0.5 0.5 0.5 0.5", _UNKNOWN.format(-1)),
        ("bird 0.5 0.5 0.5 0.5", _UNKNOWN.format("bird")),
        ("0 0.5 0.5 0.5", _SHORT),
        ("0 0.5 0.5 0.5 0.5 0.5 0.5 0.5", _SHORT),
    ],
)
def test_lines_that_are_not_understood(tmp_path: Path, line: str, problem: str) -> None:
    """They are left out, with the file and the line; the others of their image are kept."""
    folder = write_yolo(tmp_path / "data", SET)
    write(folder / "labels/b.txt", f"1 0.75 0.5 0.5 1\n\x0c\n{line}\n")
    source = opened(folder)
    assert near(boxes_in(source))["images/b.png"] == [DOG]
    assert source.warnings == (f"{problem} labels/b.txt').",)


def test_words_as_classes_without_names(tmp_path: Path) -> None:
    """Nothing says which class they are."""
    folder = write_yolo(tmp_path / "data", SET, None)
    write(folder / "labels/b.txt", "1 0.5 0.5 0.5 0.5\ndog 0.5 0.5 0.5 0.5\n")
    assert opened(folder).warnings == (
        "Lines whose class is not a number, left out: 1 ('class dog in line 2 of labels/b.txt').",
    )


@pytest.mark.parametrize("word", ["0", "0.0", "cat"])
def test_classes_as_people_write_them(tmp_path: Path, word: str) -> None:
    """A number, also as a decimal, or a name."""
    folder = write_yolo(tmp_path / "data", SET)
    write(folder / "labels/b.txt", f"{word} 0.25 0.5 0.5 1\n")
    assert near(boxes_in(opened(folder)))["images/b.png"] == [LabelledBox("cat", 0, 0, 30, 40)]


def test_a_word_instead_of_a_number(tmp_path: Path) -> None:
    """The box is left out, as in other formats."""
    folder = write_yolo(tmp_path / "data", SET)
    write(folder / "labels/b.txt", "0 nan 0.5 0.5 x\n")
    source = opened(folder)
    assert boxes_in(source)["images/b.png"] == []
    assert "Boxes with a coordinate that is not a number, left out: 1 ('images/b.png')." in (
        source.warnings
    )


def test_pixels_are_noticed_and_converted(tmp_path: Path) -> None:
    """If only one reading of them has all boxes in their images."""
    folder = write_yolo(tmp_path / "data", SET)
    write(folder / "labels/a.txt", "0 15 20 20 20\n1 45 20 30 40\n")
    write(folder / "labels/b.txt", "1 45 20 30 40\n")
    source = opened(folder)
    assert boxes_in(source) == {f"images/{name}": boxes for name, boxes in SET.items()}
    assert source.warnings == (
        "YOLO's numbers are pixels, not shares of the image: read as the centre, width and height.",
    )
    write(folder / "labels/a.txt", "0 5 10 25 30\n1 30 0 60 40\n")
    write(folder / "labels/b.txt", "1 30 0 60 40\n")
    source = opened(folder)
    assert boxes_in(source) == {f"images/{name}": boxes for name, boxes in SET.items()}
    assert source.warnings[0].endswith("read as x1, y1, x2, y2.")


def test_pixels_of_unclear_meaning_are_refused(tmp_path: Path) -> None:
    """Both readings are boxes in their images, or neither is."""
    folder = write_yolo(tmp_path / "data", SET)
    for line in ("0 20 20 30 30\n", "0 500 20 3 30\n"):
        for name in SET:
            write((folder / "labels" / name).with_suffix(".txt"), line)
        with pytest.raises(DataError, match="it is unclear whether they are a centre with width"):
            opened(folder)


def test_a_few_pixels_among_shares_are_left_out(tmp_path: Path) -> None:
    """A file with nothing else rejects its image. Boxes that leave it by less are clipped."""
    folder = write_yolo(tmp_path / "data", {f"{one}.png": [CAT, DOG] for one in range(9)})
    write(folder / "labels/0.txt", f"{yolo_of([CAT])}0 15 20 20 20\n")
    write(folder / "labels/1.txt", "0 1.1 0.5 0.4 0.5\n")
    write(folder / "labels/2.txt", "0 15 20 20 20\n")
    source = opened(folder)
    assert reasons(source) == {
        "images/2.png": "line 1 of its label file has the number 20, but YOLO's are shares of the "
        "image, 0 to 1"
    }
    assert near(boxes_in(source))["images/0.png"] == [CAT]
    assert source.warnings == (
        (
            "Lines with numbers that are not shares of the image, 0 to 1, left out: 1 ('line 2 of "
            "the label file of images/0.png')."
        ),
        "Boxes that leave the image, clipped: 1 ('images/1.png').",
    )


def test_a_set_without_boxes_is_an_error(tmp_path: Path) -> None:
    """Although everything else is there."""
    folder = write_yolo(tmp_path / "data", {"a.png": [], "b.png": []})
    with pytest.raises(
        DataError, match="No image of 'data' has a box; they were looked for in YOLO"
    ):
        opened(folder)


def test_an_alias_bomb_is_harmless(tmp_path: Path) -> None:
    """Names that are lists of lists are not expanded."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    folder = write_yolo(tmp_path / "data", SET, "\n".join([*lines, "names: *a59"]))
    with pytest.raises(DataError, match="The names of the classes in"):
        opened(folder)


def test_a_yaml_file_without_labels_beside_it(tmp_path: Path) -> None:
    """The folder with them should be passed."""
    image(tmp_path / "data/a.png")
    file = write(tmp_path / "data/data.yaml", "names: [cat]")
    with pytest.raises(DataError, match=r"names classes of YOLO, but .* has no label files"):
        opened(file)
