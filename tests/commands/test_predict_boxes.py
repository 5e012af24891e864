"""Boxes are predicted in the images of COCO's JSON and of tables, under the ids of the user."""

import json
from pathlib import Path

import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError, OptionError
from tests.commands.test_train import RecordingWatcher
from tests.conftest import TINY
from tests.detection.scenes import scenes, write_coco, write_csv

QUICK = {
    "backbone": TINY,
    "weights": "random",
    "image_size": 64,
    "epochs": 12,
    "learning_rate": 0.02,
    "views": 2,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train on COCO's JSON; next to the run are `scenes` and `cache`."""
    root = tmp_path_factory.mktemp("trained")
    data = write_coco(root / "scenes", scenes(12))
    return hs.train(data, out=root / "run", cache=root / "cache", **QUICK)


def predicted(
    trained: TrainResult, images: object, out: Path, **options: object
) -> tuple[list[dict], RecordingWatcher]:
    """Write COCO's results, and return them with what was said."""
    watcher = RecordingWatcher()
    given = {"cache": trained.run.parent / "cache", "format": "coco", "out": out} | options
    hs.predict(trained.run, images, watcher=watcher, **given)
    return json.loads(out.read_text()), watcher


def listing(folder: Path, **changes: object) -> Path:
    """Write scenes, and a listing of them with ids of its own, in another order."""
    write_coco(folder, scenes(3))
    file = folder / "instances.json"
    document = json.loads(file.read_text())
    images = [{**one, "id": 500 - one["id"]} for one in reversed(document["images"])]
    categories = [{"id": 7, "name": "square"}, {"id": 31, "name": "disc"}]
    file.write_text(json.dumps({"images": images, "categories": categories} | changes))
    return file


def test_results_have_the_ids_of_the_file(trained: TrainResult, tmp_path: Path) -> None:
    """Of images and, by the names of classes, of categories."""
    file = listing(tmp_path / "data")
    results, watcher = predicted(trained, file, tmp_path / "out.json")
    ids = {(one["image_id"], one["file_name"]) for one in results}
    assert ids == {(500, "000.png"), (499, "001.png"), (498, "002.png")}
    assert {(one["category_id"], one["category"]) for one in results} == {
        (7, "square"),
        (31, "disc"),
    }
    assert (watcher.notes, watcher.warnings) == ([], [])
    images = [tmp_path / "data/images" / name for name in ("002.png", "001.png", "000.png")]
    counted, _ = predicted(trained, images, tmp_path / "counted.json")
    assert [one["bbox"] for one in results] == [one["bbox"] for one in counted]


def test_results_are_for_the_size_in_the_file(trained: TrainResult, tmp_path: Path) -> None:
    """Whose boxes are for images of twice the size."""
    plain, _ = predicted(trained, listing(tmp_path / "data"), tmp_path / "plain.json")
    images = [
        {"id": number, "file_name": f"{number:03d}.png", "width": 192, "height": 144}
        for number in (2, 1, 0)
    ]
    file = listing(tmp_path / "larger", images=images)
    larger, _ = predicted(trained, file, tmp_path / "larger.json")
    for one, other in zip(plain, larger, strict=True):
        assert other["bbox"] == pytest.approx([2 * side for side in one["bbox"]])


def test_without_a_file_what_the_ids_count_is_said(trained: TrainResult, tmp_path: Path) -> None:
    """They are not those of the user."""
    write_coco(tmp_path / "data", scenes(3))
    results, watcher = predicted(trained, tmp_path / "data/images", tmp_path / "out.json")
    assert {one["image_id"] for one in results} == {1, 2, 3}
    assert watcher.notes == [
        (
            "image_id counts the images of this command from 1, and category_id the classes of the "
            "model from 1. To compare with a file of your own, match by file_name and category; or "
            "pass that COCO file in place of the images, to get its ids."
        )
    ]


def test_classes_that_are_not_categories(trained: TrainResult, tmp_path: Path) -> None:
    """Their boxes are left out, which is said; if that is all, it is an error."""
    file = listing(tmp_path / "data", categories=[{"id": 3, "name": "disc"}])
    results, watcher = predicted(trained, file, tmp_path / "out.json")
    assert {one["category_id"] for one in results} == {3}
    assert watcher.warnings == [
        f"Boxes of classes that are not categories of '{file}', not written: 'square'."
    ]
    file = listing(tmp_path / "other", categories=[{"id": 3, "name": "cat"}])
    with pytest.raises(DataError, match=r"has none of the model's classes, 'disc', 'square': its"):
        predicted(trained, file, tmp_path / "none.json")


def test_the_file_is_passed_alone(trained: TrainResult, tmp_path: Path) -> None:
    """Other images have no ids."""
    file = listing(tmp_path / "data")
    with pytest.raises(OptionError, match="other images are passed beside it"):
        predicted(trained, [file, tmp_path / "data/images/000.png"], tmp_path / "out.json")
    results = hs.predict(
        trained.run,
        [file, tmp_path / "data/images/000.png"],
        cache=trained.run.parent / "cache",
        watcher=RecordingWatcher(),
    )
    assert [Path(one.image).name for one in results] == ["002.png", "001.png", "000.png", "000.png"]


def test_an_image_that_does_not_exist(trained: TrainResult, tmp_path: Path) -> None:
    """It has no results, and is named."""
    file = listing(tmp_path / "data")
    (tmp_path / "data/images/001.png").unlink()
    results, _ = predicted(trained, file, tmp_path / "out.json")
    assert {one["image_id"] for one in results} == {500, 498}
    failed = hs.predict(trained.run, file, cache=trained.run.parent / "cache")[1]
    assert (failed.image, "does not exist" in failed.error) == ("001.png", True)


def test_images_of_a_table_of_boxes_are_predicted_once(
    trained: TrainResult, tmp_path: Path
) -> None:
    """Although each box has a row; that is said."""
    table = write_csv(tmp_path / "data", scenes(6))
    rows = len(table.read_text().splitlines()) - 1
    assert rows > 6
    for out in ({}, {"out": tmp_path / "out.csv"}):
        watcher = RecordingWatcher()
        results = hs.predict(
            trained.run, table, cache=trained.run.parent / "cache", watcher=watcher, **out
        )
        assert [one.image for one in results] == [f"{number:03d}.png" for number in range(6)]
        assert watcher.notes == [
            f"'boxes.csv' has {rows} rows of boxes for 6 images; each image is predicted once."
        ]


def test_images_of_a_table_of_boxes_are_found_as_in_a_training(
    trained: TrainResult, tmp_path: Path
) -> None:
    """In a folder of images beside the folder of the table."""
    table = write_csv(tmp_path / "data", scenes(2))
    (tmp_path / "images").mkdir()
    for image in (tmp_path / "data").glob("*.png"):
        image.rename(tmp_path / "images" / image.name)
    results = hs.predict(
        trained.run, table, cache=trained.run.parent / "cache", watcher=RecordingWatcher()
    )
    assert [one.image for one in results] == ["images/000.png", "images/001.png"]
    assert all(one.size == (96, 72) for one in results)
