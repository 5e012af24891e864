"""COCO's JSON is read as people have it, and what is wrong with it is said."""

import json
from pathlib import Path

import pytest

from headstart.data.boxes.labels import LabelledBox
from headstart.errors import DataError
from tests.data.boxes.builders import (
    CAT,
    DOG,
    boxes_in,
    coco_of,
    image,
    opened,
    parts,
    reasons,
    write,
    write_coco,
)

SET = {"a.png": [CAT, DOG], "b.png": [DOG._replace(crowd=True)], "c.png": []}


def coco(folder: Path, **changes: object) -> Path:
    """Write a folder of three images with a JSON file beside them."""
    for name in SET:
        image(folder / name)
    return write_coco(folder / "boxes.json", SET, **changes)


def test_a_file_beside_its_images(tmp_path: Path) -> None:
    """The folder or the file is passed; an image without annotations is background."""
    file = coco(tmp_path / "data")
    source = opened(tmp_path / "data")
    assert boxes_in(source) == SET
    assert source.understood == ("Boxes: COCO's 'boxes.json'.",)
    assert source.warnings == ()
    assert source.boxes == "COCO's 'boxes.json'"
    assert boxes_in(opened(file)) == SET


def test_the_layout_of_coco_itself(tmp_path: Path) -> None:
    """Two files in annotations/, images of the same names in the folders of the parts."""
    boxes = {"train": [CAT], "val": [DOG]}
    for part, found in boxes.items():
        image(tmp_path / f"coco/{part}2017/1.png")
        write_coco(tmp_path / f"coco/annotations/instances_{part}2017.json", {"1.png": found})
        write_coco(tmp_path / f"coco/annotations/person_keypoints_{part}2017.json", {"1.png": []})
        write(tmp_path / f"coco/annotations/captions_{part}2017.json", '{"annotations": []}')
    source = opened(tmp_path / "coco")
    assert boxes_in(source) == {"train2017/1.png": [CAT], "val2017/1.png": [DOG]}
    assert parts(source) == {"train2017/1.png": "train", "val2017/1.png": "val"}
    one = opened(tmp_path / "coco/annotations/instances_val2017.json")
    assert boxes_in(one) == {"val2017/1.png": [DOG]}
    assert (parts(one), one.warnings) == ({"val2017/1.png": None}, ())


def test_the_layout_of_roboflow(tmp_path: Path) -> None:
    """A file and its images in the folder of each part."""
    for part in ("train", "valid", "test"):
        image(tmp_path / "export" / part / "1.png")
        write_coco(tmp_path / "export" / part / "_annotations.coco.json", {"1.png": [CAT]})
    source = opened(tmp_path / "export")
    assert parts(source) == {"test/1.png": "test", "train/1.png": "train", "valid/1.png": "val"}
    assert boxes_in(source)["valid/1.png"] == [CAT]


def test_paths_of_another_machine(tmp_path: Path) -> None:
    """The file with the name is found anywhere, and unlisted files are counted."""
    for name in ("images/a.png", "other/b.png"):
        image(tmp_path / "data" / name)
    write_coco(tmp_path / "data/coco.json", {"C:\\data\\images\\a.png": [CAT]})
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"images/a.png": [CAT]}
    assert source.warnings == (
        "Images that COCO's files do not list, left out: 1 ('other/b.png').",
    )


def test_images_that_do_not_exist(tmp_path: Path) -> None:
    """Each is rejected; if all are, that is an error."""
    folder = tmp_path / "data"
    image(folder / "a.png")
    file = write_coco(folder / "coco.json", {"a.png": [CAT], "x/b.png": [CAT]})
    assert reasons(opened(folder)) == {"x/b.png": f"the file '{folder / 'x/b.png'}' does not exist"}
    (folder / "a.png").rename(folder / "c.png")
    with pytest.raises(DataError, match=r"None of the images of COCO's 'coco.json' exist\."):
        opened(file)


def test_two_images_of_one_name(tmp_path: Path) -> None:
    """Which one is meant is unclear, unless its path says."""
    for name in ("one/a.png", "two/a.png", "two/b.png"):
        image(tmp_path / "data" / name)
    write_coco(tmp_path / "data/coco.json", {"a.png": [CAT], "two/a.png": [DOG], "b.png": [CAT]})
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"two/a.png": [DOG], "two/b.png": [CAT]}
    assert list(reasons(source).values()) == [
        "several files have this name: 'one/a.png', 'two/a.png'"
    ]


def test_smaller_copies_of_images(tmp_path: Path) -> None:
    """The image in the fewest folders is meant."""
    for name in ("photos/a.png", "photos/small/a.png"):
        image(tmp_path / "data" / name)
    write_coco(tmp_path / "data/annotations/coco.json", {"a.png": [CAT]})
    assert boxes_in(opened(tmp_path / "data")) == {"photos/a.png": [CAT]}


def test_categories_without_boxes_are_named(tmp_path: Path) -> None:
    """They are no classes, since nothing can be learnt of them."""
    categories = [*coco_of(SET)["categories"], {"id": 9, "name": "bird"}]
    coco(tmp_path / "data", categories=categories)
    sentence = "Categories without boxes, which are no classes: 'bird'."
    assert sentence in opened(tmp_path / "data").understood


def test_polygons_and_masks_without_boxes(tmp_path: Path) -> None:
    """A polygon has a box around it; a mask of run lengths is left out, and counted."""
    shapes = [
        {"segmentation": [[5, 10, 25, 10, 25, 30], [7, 20, 8, 31, 9, 21]]},
        {"segmentation": {"counts": "abc", "size": [40, 60]}, "bbox": []},
        {},
    ]
    annotations = [
        {"id": number, "image_id": 0, "category_id": 1, **shape}
        for number, shape in enumerate(shapes)
    ]
    coco(tmp_path / "data", annotations=annotations)
    source = opened(tmp_path / "data")
    assert boxes_in(source)["a.png"] == [LabelledBox("cat", 5, 10, 25, 31)]
    assert source.warnings == (
        "Polygons without a box, of which the box around them is used: 1 ('a.png').",
        (
            "Masks of run lengths without a box, left out; write the box around each as its "
            "'bbox', as pycocotools.mask.toBbox computes it: 1 ('a.png')."
        ),
        "Annotations without a box, left out: 1 ('a.png').",
    )


def test_repeated_ids_of_annotations_are_kept(tmp_path: Path) -> None:
    """Tools that join files write them; nothing depends on these ids."""
    annotations = [{**one, "id": 7} for one in coco_of(SET)["annotations"]]
    coco(tmp_path / "data", annotations=annotations)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == SET
    assert source.warnings == (
        "2 annotations of 'boxes.json' have an id that another has; all are kept.",
    )
    annotations[0]["id"] = 6
    coco(tmp_path / "data", annotations=annotations)
    assert opened(tmp_path / "data").warnings == (
        "1 annotation of 'boxes.json' has an id that another has; both are kept.",
    )


def test_repeated_images(tmp_path: Path) -> None:
    """The same image twice is one; two images with one id are an error."""
    images = coco_of(SET)["images"]
    file = coco(tmp_path / "data", images=[*images, images[0]])
    source = opened(tmp_path / "data")
    assert boxes_in(source) == SET
    assert source.warnings == ("Images that COCO's file lists twice: 1 ('a.png').",)
    coco(tmp_path / "data", images=[*images, {**images[1], "id": 0}])
    with pytest.raises(DataError) as raised:
        opened(tmp_path / "data")
    assert str(raised.value) == (
        f"'{file}' has two images with the id 0: 'a.png' and 'b.png'. Whose boxes are those of the "
        "id 0 is unclear; correct it."
    )


def test_an_image_in_two_parts_is_rejected(tmp_path: Path) -> None:
    """Its boxes would be learnt from and measured."""
    for name in SET:
        image(tmp_path / "data" / name)
    write_coco(tmp_path / "data/train.json", {"a.png": [CAT], "b.png": [CAT]})
    write_coco(tmp_path / "data/test.json", {"a.png": [CAT], "c.png": [DOG]})
    source = opened(tmp_path / "data")
    assert reasons(source) == {"a.png": "it is both in test and in train"}
    assert parts(source) == {"a.png": "test", "b.png": "train", "c.png": "test"}


def test_unknown_images_and_categories(tmp_path: Path) -> None:
    """These boxes are left out and counted; the others of their images are kept."""
    annotations = coco_of({**SET, "c.png": [CAT, DOG, CAT]})["annotations"]
    annotations[0]["image_id"], annotations[2]["category_id"] = 99, [5]
    annotations[3]["category_id"] = 7
    annotations[4]["category_id"] = None
    coco(tmp_path / "data", annotations=annotations)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"a.png": [DOG], "b.png": [], "c.png": [CAT]}
    assert reasons(source) == {}
    assert source.warnings == (
        "Boxes of images that COCO's file does not list, left out: 1 ('image 99 of boxes.json').",
        (
            "Boxes of a category that 'boxes.json' does not name, left out: 2 ('b.png has the "
            "category [5]', 'c.png has the category 7')."
        ),
        "Boxes without a category, left out: 1 ('c.png').",
    )


def test_images_have_one_name_in_all_messages(tmp_path: Path) -> None:
    """Their path within the folder, whatever the file calls them."""
    image(tmp_path / "data/images/a.png")
    outline = {"segmentation": [[1, 1, 9, 1, 9, 9]], "image_id": 0, "category_id": 1}
    file = write_coco(tmp_path / "data/boxes.json", {"a.png": [CAT]})
    document = json.loads(file.read_text())
    document["annotations"] += [outline, {"image_id": 0, "category_id": 1}, {"image_id": 0}]
    file.write_text(json.dumps(document))
    warnings = opened(tmp_path / "data").warnings
    assert len(warnings) == 3
    assert all("1 ('images/a.png')" in sentence for sentence in warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"id": 1}]}, "has a category without an id or a name: {'id': 1}."),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            "has two categories with the id 1: 'a' and 'b'. Correct it.",
        ),
        ({"images": [{"id": 1}]}, "has an image without an id or a file_name: {'id': 1}."),
        ({"images": {}}, "is not a COCO file of boxes: it needs a list of objects 'images'."),
        ({"annotations": [3]}, "is not a COCO file of boxes: it needs a list of objects 'anno"),
    ],
)
def test_contradictions_are_errors(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """The file is named."""
    file = coco(tmp_path / "data", **changes)
    with pytest.raises(DataError) as raised:
        opened(tmp_path / "data")
    assert str(raised.value).startswith(f"'{file}' {message}")


def test_broken_json(tmp_path: Path) -> None:
    """The place of the mistake is said."""
    file = coco(tmp_path / "data")
    file.write_text(file.read_text()[:-1])
    with pytest.raises(DataError, match="is not valid JSON: Expecting ',' delimiter: line 1"):
        opened(tmp_path / "data")


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """Text with a number is one; others, and JSON's NaN, are not."""
    document = json.dumps(coco_of({"a.png": [CAT, DOG, DOG._replace(x1=31), CAT]}))
    for box, text in (
        ("[5, 10, 20, 20]", '["5", "10", 20.0, 20]'),
        ("[30, 0, 30, 40]", "[NaN, 0, 30, 40]"),
        ("[31, 0, 29, 40]", '["x", true, null, 40]'),
    ):
        assert box in document
        document = document.replace(box, text, 1)
    image(tmp_path / "data/a.png")
    write(tmp_path / "data/boxes.json", document)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"a.png": [CAT]}
    assert source.warnings == (
        "Boxes with a coordinate that is not a number, left out: 2 ('a.png').",
        "Boxes with the label and the place of another one, left out: 1 ('a.png').",
    )


def test_a_set_without_boxes_is_an_error(tmp_path: Path) -> None:
    """It says where they were looked for, and what was left out."""
    image(tmp_path / "data/a.png")
    write_coco(tmp_path / "data/boxes.json", {"a.png": [CAT._replace(x1=70, x2=80)]})
    with pytest.raises(DataError) as raised:
        opened(tmp_path / "data")
    assert str(raised.value) == (
        "No image of 'data' has a box; they were looked for in COCO's 'boxes.json'. Boxes outside "
        "the image, left out: 1 ('a.png')."
    )


def test_shares_are_noticed(tmp_path: Path) -> None:
    """Boxes of less than a pixel are shares of the image."""
    shares = {"a.png": [LabelledBox("cat", 0.25, 0.25, 0.5, 1)]}
    image(tmp_path / "data/a.png")
    write_coco(tmp_path / "data/boxes.json", shares)
    source = opened(tmp_path / "data")
    assert boxes_in(source) == {"a.png": [LabelledBox("cat", 15, 10, 30, 40)]}
    assert source.understood[-1] == (
        "All coordinates are between 0 and 1, so they are shares of the image's width and height."
    )


def test_names_that_are_not_characters(tmp_path: Path) -> None:
    """JSON may have half a pair of escapes in a name."""
    file = coco(tmp_path / "data")
    text = file.read_text().replace('"b.png"', '"b\\ud800.png"').replace('"dog"', '"d\\udfffg"')
    file.write_text(text)
    source = opened(tmp_path / "data")
    assert boxes_in(source)["a.png"][1].label == "d\\udfffg"
    assert list(reasons(source)) == ["b\\ud800.png"]


def test_known_classes(tmp_path: Path) -> None:
    """Boxes of labels that a model does not have are left out, with a sentence."""
    coco(tmp_path / "data")
    source = opened(tmp_path / "data", known=["cat", "bird"])
    assert boxes_in(source) == {"a.png": [CAT], "b.png": [], "c.png": []}
    assert source.warnings == ("Boxes of labels that the model does not have, not used: 'dog'.",)
    with pytest.raises(DataError, match="The model has none of the labels of these boxes: 'cat', "):
        opened(tmp_path / "data", known=["bird"])
