"""Pascal VOC's XML is read as the tools write it, and never expanded."""

from pathlib import Path

import pytest

from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.xml_files import MalformedXml, UnsafeXml, parse_xml
from headstart.errors import DataError
from tests.data.boxes.builders import (
    CAT,
    DOG,
    boxes_in,
    image,
    opened,
    parts,
    reasons,
    voc_of,
    write,
)

LAUGHS = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation><filename>&b;</filename></annotation>"""


def voc(folder: Path, *names: str, images: str = "JPEGImages", xml: str = "Annotations") -> Path:
    """Write images with a cat and a dog each."""
    for name in names:
        image(folder / images / f"{name}.png")
        write(folder / xml / f"{name}.xml", voc_of([CAT, DOG], f"{name}.png"))
    return folder


def test_the_layout_of_pascal_voc(tmp_path: Path) -> None:
    """Lists name the parts; masks of the same names are no images of it."""
    folder = voc(tmp_path / "voc", "1", "2", "3", "4.b", "5")
    for part, lines in (("train", "1\n"), ("val", "2\n4.b\n"), ("trainval", "1\n2\n4.b\n5\n")):
        write(folder / f"ImageSets/Main/{part}.txt", lines)
    write(folder / "ImageSets/Main/test.txt", "3\n")
    write(folder / "ImageSets/Main/cat_train.txt", "3  1\n")
    image(folder / "SegmentationClass/1.png")
    source = opened(folder)
    assert boxes_in(source)["JPEGImages/1.png"] == [CAT, DOG]
    assert list(parts(source).values()) == ["train", "val", "test", "val", "train"]
    assert source.understood == (
        "Boxes: Pascal VOC's XML files.",
        "Split: the files of ImageSets/Main.",
    )
    assert source.warnings == (
        "Images without an XML file, left out: 1 ('SegmentationClass/1.png').",
    )


def test_files_beside_images(tmp_path: Path) -> None:
    """As LabelImg writes them, and Roboflow in folders of the parts."""
    folder = voc(tmp_path / "data", "1", images="train", xml="train")
    voc(folder, "1", images="test", xml="test")
    source = opened(folder)
    assert parts(source) == {"test/1.png": "test", "train/1.png": "train"}
    assert boxes_in(source)["train/1.png"] == [CAT, DOG]
    assert source.understood[1] == "Split: folders."
    assert parts(opened(folder / "train")) == {"1.png": None}


def test_another_name_inside(tmp_path: Path) -> None:
    """The image of the file's own name is preferred; without one, it is the one inside."""
    folder = tmp_path / "data"
    for name in ("a.png", "b.png"):
        image(folder / name)
    write(folder / "a.xml", voc_of([CAT], "b.png"))
    write(folder / "x.xml", voc_of([DOG], "C:\\old\\b.png"))
    source = opened(folder)
    assert boxes_in(source) == {"a.png": [CAT], "b.png": [DOG]}
    assert source.warnings == (
        "XML files read as of their own name, not of that in them: 1 ('a.xml names b.png').",
    )


@pytest.mark.parametrize("named", ["a", "a.jpg", ""])
def test_the_same_name_in_other_words(tmp_path: Path, named: str) -> None:
    """A missing or another suffix is not another name."""
    image(tmp_path / "data/a.png")
    write(tmp_path / "data/a.xml", voc_of([CAT], named))
    source = opened(tmp_path / "data")
    assert (boxes_in(source), source.warnings) == ({"a.png": [CAT]}, ())


def test_two_files_of_an_image(tmp_path: Path) -> None:
    """Their boxes are joined."""
    image(tmp_path / "data/a.png")
    write(tmp_path / "data/a.xml", voc_of([CAT], "a.png"))
    write(tmp_path / "data/x.xml", voc_of([DOG], "a.png"))
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"a.png": [CAT, DOG]}
    assert source.warnings == (
        "Images with several annotations, whose boxes are joined: 1 ('a.png').",
    )


def test_an_annotation_without_an_image(tmp_path: Path) -> None:
    """It is rejected by its own name."""
    folder = voc(tmp_path / "data", "a")
    write(folder / "Annotations/x.xml", voc_of([DOG], "gone.png"))
    assert reasons(opened(folder)) == {
        "x.xml": f"the file '{folder / 'Annotations/gone.png'}' does not exist"
    }


def test_damaged_files(tmp_path: Path) -> None:
    """An image is rejected with the reason; files that are no annotations are ignored."""
    folder = voc(tmp_path / "data", "a", "b")
    write(folder / "Annotations/b.xml", "<annotation><object></annotation>")
    write(folder / "other.xml", "<html/>")
    assert reasons(opened(folder)) == {
        "JPEGImages/b.png": "its annotation 'Annotations/b.xml' cannot be read: mismatched tag: "
        "line 1, column 22"
    }


def test_entities_are_refused(tmp_path: Path) -> None:
    """Some kilobytes of them may expand to gigabytes."""
    folder = voc(tmp_path / "data", "a")
    file = write(folder / "Annotations/laugh.xml", LAUGHS)
    with pytest.raises(DataError) as raised:
        opened(folder)
    assert str(raised.value) == (
        f"'{file}' declares a document type (DOCTYPE), which might expand without end and which no "
        "annotation needs. Remove the declaration, or the file."
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_no_encoding_hides_a_declaration(encoding: str) -> None:
    """The parser itself stops at it, or does not know the encoding."""
    with pytest.raises((UnsafeXml, MalformedXml)):
        parse_xml(LAUGHS.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding))


@pytest.mark.parametrize("data", [b"", b"<a>", b"\xff\xfe\0", b"<a>&b;</a>", b"<a" * 9])
def test_what_is_not_xml(data: bytes) -> None:
    """Every failure is the same error."""
    with pytest.raises(MalformedXml):
        parse_xml(data)


def test_objects_of_other_shapes(tmp_path: Path) -> None:
    """A polygon has a box around it; others are left out. Parts of persons are not objects."""
    image(tmp_path / "data/a.png")
    polygon = "<polygon><x1>5</x1><y1>10</y1><x2>25</x2><y2>10</y2><x3>25</x3><y3>30</y3></polygon>"
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    objects = f"<object><name>cat</name>{polygon}</object><object><name>cat</name>{part}</object>"
    text = voc_of([DOG], "a.png").replace("</annotation>", f"{objects}</annotation>")
    write(tmp_path / "data/a.xml", text)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"a.png": [DOG, CAT]}
    assert source.warnings == ("Objects without a box, left out: 1 ('a.png').",)


def test_an_object_without_a_name(tmp_path: Path) -> None:
    """It is left out, and counted."""
    folder = voc(tmp_path / "data", "a", "b")
    file = folder / "Annotations/b.xml"
    file.write_text(file.read_text().replace("<name>dog</name>", "<name> </name>"))
    source = opened(folder)
    assert reasons(source) == {}
    assert DOG not in boxes_in(source)["JPEGImages/b.png"]
    assert source.warnings == ("Objects without a name, left out: 1 ('JPEGImages/b.png').",)


def test_a_declared_size_of_nothing(tmp_path: Path) -> None:
    """Some programs write 0; then nothing is declared. Objects may be none."""
    image(tmp_path / "data/a.png")
    image(tmp_path / "data/b.png")
    write(tmp_path / "data/a.xml", voc_of([CAT], "a.png", (0, 0)))
    write(tmp_path / "data/b.xml", voc_of([], "b.png"))
    assert boxes_in(opened(tmp_path / "data")) == {"a.png": [CAT], "b.png": []}


def test_coordinates_are_taken_as_they_are(tmp_path: Path) -> None:
    """Also those that are not whole, or lack a side."""
    folder = voc(tmp_path / "data", "a")
    file = folder / "Annotations/a.xml"
    text = file.read_text().replace("<xmin>5<", "<xmin> 5.25 <").replace("<ymax>40</ymax>", "")
    file.write_text(text)
    source = opened(folder)
    assert boxes_in(source) == {"JPEGImages/a.png": [LabelledBox("cat", 5.25, 10, 25, 30)]}
    assert source.warnings[0].startswith(
        "Boxes with a coordinate that is not a number, left out: 1"
    )
