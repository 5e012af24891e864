"""The ids in COCO's JSON, for predictions of its images."""

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.data.boxes.coco_listing import CocoListing, lists_coco_images
from headstart.errors import DataError
from tests.data.boxes.builders import image, write


def listing(folder: Path, *images: dict, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write a listing without annotations."""
    categories = [{"id": 10 * number, "name": name} for number, name in enumerate(names, 1)]
    text = json.dumps({"images": images, "categories": categories})
    return write(folder / "annotations/test.json", text)


def test_ids_and_files(tmp_path: Path) -> None:
    """Images are found as in a training; ids are numbers or texts."""
    image(tmp_path / "images/a.png")
    image(tmp_path / "images/b.png")
    file = listing(
        tmp_path,
        {"id": 7, "file_name": "a.png"},
        {"id": "x", "file_name": "images/b.png", "width": 60, "height": 40},
        {"id": 8, "file_name": "c.png"},
    )
    assert lists_coco_images(file)
    found = CocoListing.read(file)
    assert [(one.name, Path(one.path).name) for one in found.files] == [
        ("a.png", "a.png"),
        ("images/b.png", "b.png"),
        ("c.png", "c.png"),
    ]
    assert [bool(one.problem) for one in found.files] == [False, False, True]
    assert {name: [one.id for one in some] for name, some in found.images.items()} == {
        "a.png": [7],
        "images/b.png": ["x"],
        "c.png": [8],
    }
    assert found.categories == {"cat": 10, "dog": 20}
    assert found.without_category(["dog", "bird"]) == ["bird"]


def test_an_image_with_two_ids(tmp_path: Path) -> None:
    """Its boxes have both, so that they are scored under either."""
    image(tmp_path / "images/a.png")
    file = listing(tmp_path, {"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"})
    found = CocoListing.read(file)
    assert [one.id for one in found.images["a.png"]] == [1, 2]
    assert len(found.files) == 1


def test_boxes_as_the_listing_has_them(tmp_path: Path) -> None:
    """In an image that is stored turned, by a tool that ignored that."""
    image(tmp_path / "images/a.png", (60, 40), orientation=6)
    file = listing(tmp_path, {"id": 1, "file_name": "a.png", "width": 120, "height": 80})
    ((one,),) = CocoListing.read(file).images.values()
    corners = one.as_listed(np.array([[0.0, 0.0, 10.0, 20.0]]), (40, 60))
    assert corners.tolist() == [[0, 60, 40, 80]]


def test_what_is_not_a_listing(tmp_path: Path) -> None:
    """Other files are not; one without images is an error."""
    assert not lists_coco_images(write(tmp_path / "a.json", "[1]"))
    assert not lists_coco_images(write(tmp_path / "a.txt", '{"images": "file_name"}'))
    assert not lists_coco_images(tmp_path / "nowhere.json")
    file = write(tmp_path / "b.json", '{"images": [], "categories": [], "info": "file_name"}')
    with pytest.raises(DataError, match="lists no images"):
        CocoListing.read(file)
