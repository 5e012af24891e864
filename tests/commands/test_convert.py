"""Boxes are written in another format, and read back as the same."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from headstart.cli.converting import show_conversion
from headstart.commands.convert import convert, run_convert
from headstart.data.boxes.labels import LabelledBox, read_boxes, write_boxes
from headstart.data.decoding import decode
from headstart.data.labels import normalised
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError, OutputError
from headstart.options import ConvertOptions
from headstart.watching import SilentWatcher
from tests.data.boxes.builders import (
    CAT,
    DOG,
    HEIGHT,
    WIDTH,
    boxes_in,
    image,
    opened,
    parts,
    write_coco,
    write_csv,
    write_yolo,
)
from tests.data.files import encoded

FORMATS = ("coco", "yolo", "csv")
SPLIT = {"train/a.png": [CAT, DOG], "train/b.png": [], "test/a.png": [DOG]}


def _edges(length: int) -> st.SearchStrategy[tuple[float, float]]:
    """Return both edges of boxes along a side of an image."""
    return st.tuples(st.floats(0, length - 3), st.floats(2, length)).map(
        lambda pair: (round(pair[0], 4), round(min(length, sum(pair)), 4))
    )


_names = (
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=2)
    .map(normalised)
    .filter(lambda name: name.lower() not in ("na", "nan", "null", "n/a", "#n/a", "<na>"))
)
_boxes = st.lists(
    st.builds(
        lambda name, across, down: LabelledBox(name, across[0], down[0], across[1], down[1]),
        *(_names, _edges(WIDTH), _edges(HEIGHT)),
    ),
    max_size=5,
    unique=True,
)


def entry(path: Path, boxes: list[LabelledBox], split: str | None = None) -> Entry:
    """Return the entry of an image."""
    return Entry(path.name, str(path), write_boxes(boxes), split)


def converted(data: Path, out: Path, kind: str = "coco"):
    """Run the command."""
    options = ConvertOptions.of(format=kind, out=out, cache=out.parent / "cache")
    return run_convert(data, options, SilentWatcher())


def near(one: list[LabelledBox], other: list[LabelledBox]) -> bool:
    """Return whether boxes are the same to a thousandth of a pixel, in any order."""
    ordered = sorted(one), sorted(other)
    same = [box.label for box in ordered[0]] == [box.label for box in ordered[1]]
    corners = [np.array([box.corners for box in boxes]).reshape(-1, 4) for boxes in ordered]
    return same and np.allclose(*corners, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_boxes, _boxes, st.sampled_from([("train", "val"), ("test", "train"), (None, None)]))
def test_what_is_written_is_read_alike(
    tmp_path: Path,
    kind: str,
    first: list[LabelledBox],
    second: list[LabelledBox],
    split: tuple[str | None, str | None],
) -> None:
    """In every format: boxes, labels of any letters, background, and the split."""
    first = first or [CAT]
    folder = tmp_path / os.urandom(8).hex()
    for name in ("one.png", "two.png"):
        image(folder / name)
    entries = [
        entry(folder / name, boxes, part)
        for name, boxes, part in zip(("one.png", "two.png"), (first, second), split, strict=True)
    ]
    convert(Source("data", entries, boxes="here"), folder / "out", kind)
    source = open_source(folder / "out", staging=tmp_path)
    found = {
        Path(one.image).name: (read_boxes(one.label or ""), one.split) for one in source.entries
    }
    for name, boxes, part in zip(("one.png", "two.png"), (first, second), split, strict=True):
        assert near(found[name][0], boxes)
        assert found[name][1] == part


@pytest.mark.parametrize("kind", FORMATS)
def test_a_split_is_kept(tmp_path: Path, kind: str) -> None:
    """Images of the same name in two parts stay apart; so do their labels."""
    conversion = converted(write_yolo(tmp_path / "data", SPLIT), tmp_path / "out", kind)
    source = opened(tmp_path / "out")
    expected = {f"images/{name}": boxes for name, boxes in SPLIT.items()}
    assert all(near(boxes, expected[name]) for name, boxes in boxes_in(source).items())
    assert parts(source) == {name: name.split("/")[1] for name in expected}
    assert source.warnings == ()
    assert (conversion.images, conversion.boxes) == ({"train": 2, "test": 1}, 3)
    assert conversion.classes == ("cat", "dog")


@pytest.mark.parametrize("kind", FORMATS)
def test_names_that_would_be_one(tmp_path: Path, kind: str) -> None:
    """Those that differ only in their suffix, in capitals or in folders of images."""
    names = ("a.png", "a.jpg", "A.png", "x/a.png", "images/x/a.png", "y/images/a.png")
    for name in names:
        image(tmp_path / "data" / name)
    boxes = {name: [CAT._replace(x1=number)] for number, name in enumerate(names)}
    write_coco(tmp_path / "data/boxes.json", boxes)
    converted(tmp_path / "data", tmp_path / "out", kind)
    found = boxes_in(opened(tmp_path / "out"))
    assert sorted(round(box.x1) for (box,) in found.values()) == list(range(len(names)))
    for name, (box,) in found.items():
        original = (tmp_path / "data" / names[round(box.x1)]).read_bytes()
        assert (tmp_path / "out" / name).read_bytes() == original


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_turned_images_are_written_upright(
    tmp_path: Path, kind: str, suffix: str, orientation: int
) -> None:
    """So that every program sees the boxes at the same place."""
    path = tmp_path / f"data/a.{suffix}"
    image(path, (WIDTH, HEIGHT), orientation)
    seen = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
    write_csv(tmp_path / "data/boxes.csv", "path,x1,y1,x2,y2,label", [path.name, 1, 2, 9, 30, "a"])
    conversion = converted(tmp_path / "data", tmp_path / "out", kind)
    assert conversion.turned == 1
    (written,) = (tmp_path / "out/images").iterdir()
    assert written.name == ("a.jpg" if suffix == "jpg" else "a.png")
    with Image.open(written) as upright:
        assert (upright.size, upright.getexif().get(0x0112)) == (seen, None)
    expected = decode(path.read_bytes()).astype(int)
    tolerance = 3 if suffix == "jpg" else 0
    assert np.abs(expected - decode(written.read_bytes())).max() <= tolerance
    (boxes,) = boxes_in(opened(tmp_path / "out")).values()
    assert near(boxes, [LabelledBox("a", 1, 2, 9, 30)])
    (sentence,) = conversion.warnings()
    assert sentence == (
        "Images written anew, upright, as programs disagree on the orientation in their metadata: "
        "1; JPEG with quality 95, others as PNG."
    )


def test_files_are_linked(tmp_path: Path) -> None:
    """Which takes no room on the disk."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    converted(folder, tmp_path / "out")
    assert (tmp_path / "out/images/a.png").samefile(folder / "images/a.png")


def test_files_are_copied_where_they_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As to another disk."""

    def fail(*_: object) -> None:
        raise OSError

    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    monkeypatch.setattr("headstart.data.boxes.copying.os.link", fail)
    converted(folder, tmp_path / "out")
    copy = tmp_path / "out/images/a.png"
    assert not copy.samefile(folder / "images/a.png")
    assert copy.read_bytes() == (folder / "images/a.png").read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_crowds(tmp_path: Path, kind: str) -> None:
    """YOLO does not have them, which is said."""
    crowd = DOG._replace(crowd=True)
    image(tmp_path / "data/a.png")
    write_coco(tmp_path / "data/boxes.json", {"a.png": [CAT, crowd]})
    conversion = converted(tmp_path / "data", tmp_path / "out", kind)
    (boxes,) = boxes_in(opened(tmp_path / "out")).values()
    if kind == "yolo":
        assert (len(boxes), conversion.crowds_left_out, conversion.boxes) == (1, 1, 1)
        assert list(conversion.warnings()) == [
            "Boxes around crowds, which this format does not have, left out: 1."
        ]
    else:
        assert boxes == [CAT, crowd]
        assert list(conversion.warnings()) == []


def test_embedded_images_get_names_with_suffixes(tmp_path: Path) -> None:
    """As YOLO's programs find images by them."""
    data = encoded(Image.new("RGB", (WIDTH, HEIGHT)), "JPEG")
    table = pa.table(
        {
            "image": [{"bytes": data, "path": "x.y"}],
            "objects": [{"bbox": [[5.0, 10.0, 20.0, 20.0]], "category": ["cat"]}],
        }
    )
    pq.write_table(table, tmp_path / "boxes.parquet")
    converted(tmp_path / "boxes.parquet", tmp_path / "out", "yolo")
    assert [file.name for file in (tmp_path / "out/images").iterdir()] == ["x.y.jpg"]
    assert [near(boxes, [CAT]) for boxes in boxes_in(opened(tmp_path / "out")).values()] == [True]


def test_images_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """With the reason; if there are no others, that is an error."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT], "b.png": [DOG], "c.png": [CAT]})
    (folder / "images/a.png").write_bytes(b"nothing")
    (folder / "labels/b.txt").write_text("1 30 20 30 40")
    conversion = converted(folder, tmp_path / "out")
    assert conversion.left_out == (
        (
            "images/b.png",
            (
                "line 1 of its label file has the number 40, but YOLO's are shares of the image, "
                "0 to 1"
            ),
        ),
        ("images/a.png", "it cannot be read as an image"),
    )
    assert conversion.images == {"all": 1}
    (folder / "images/c.png").write_bytes(b"nothing")
    with pytest.raises(
        DataError, match=r"No image of 'data' can be written\. 'images/b\.png': line"
    ):
        converted(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_images_that_cannot_be_turned_are_left_out(tmp_path: Path) -> None:
    """Their header is sound, but their pixels are not."""
    folder = write_yolo(tmp_path / "data", {"a.jpg": [CAT], "b.jpg": [DOG]})
    image(folder / "images/a.jpg", (WIDTH, HEIGHT), 3)
    data = (folder / "images/a.jpg").read_bytes()
    (folder / "images/a.jpg").write_bytes(data[: data.index(b"\xff\xda") + 2])
    conversion = converted(folder, tmp_path / "out")
    ((name, reason),) = conversion.left_out
    assert name == "images/a.jpg"
    assert reason == "it is not an image of a known format"
    assert list(conversion.warnings()) == [f"Images not written: 1. 'images/a.jpg': {reason}."]
    assert conversion.turned == 0
    (folder / "images/b.jpg").write_bytes((folder / "images/a.jpg").read_bytes())
    with pytest.raises(
        DataError, match=r"No image of 'data' can be written\. 'images/a\.jpg': it is not"
    ):
        converted(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_what_is_said(tmp_path: Path) -> None:
    """How the data was read, and its warnings and those of what was written."""

    class Listening(SilentWatcher):
        def __init__(self) -> None:
            self.notes: list[str] = []
            self.warnings: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

        def warn(self, text: str) -> None:
            self.warnings.append(text)

    folder = write_yolo(tmp_path / "data", {"a.png": [CAT, CAT], "b.png": [DOG]})
    (folder / "images/b.png").write_bytes(b"nothing")
    watcher = Listening()
    options = ConvertOptions.of(out=tmp_path / "out", cache=tmp_path / "cache")
    run_convert(folder, options, watcher)
    assert watcher.notes == ["Boxes: YOLO's label files. Classes: 'data.yaml'."]
    assert watcher.warnings == [
        "Boxes with the label and the place of another one, left out: 1 ('images/a.png').",
        "Images not written: 1. 'images/b.png': it cannot be read as an image.",
    ]


def test_images_without_a_part_become_training_images(tmp_path: Path) -> None:
    """As they do in a training, if others have a part."""
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    entries = [entry(tmp_path / "a.png", [CAT], "test"), entry(tmp_path / "b.png", [DOG])]
    conversion = convert(Source("data", entries, boxes="here"), tmp_path / "out", "csv")
    assert conversion.images == {"test": 1, "train": 1}
    with pytest.raises(OutputError, match="already exists"):
        convert(Source("data", entries, boxes="here"), tmp_path / "out", "csv")


def test_groups_are_kept_in_a_table(tmp_path: Path) -> None:
    """Other formats do not have them."""
    image(tmp_path / "data/a.png")
    header = "path,x1,y1,x2,y2,label,group"
    write_csv(tmp_path / "data/boxes.csv", header, ["a.png", *CAT.corners, "cat", "g"])
    converted(tmp_path / "data", tmp_path / "out", "csv")
    assert [one.group for one in opened(tmp_path / "out").entries] == ["g"]


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    monkeypatch.setattr("headstart.commands.convert.copy_image", fail)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        converted(folder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_labels_that_a_table_would_lose(tmp_path: Path) -> None:
    """Are an error, and nothing is written."""
    image(tmp_path / "data/a.png")
    write_coco(tmp_path / "data/boxes.json", {"a.png": [CAT._replace(label="NaN")]})
    with pytest.raises(DataError, match=r"The label 'NaN' would be read from a CSV file as a miss"):
        converted(tmp_path / "data", tmp_path / "out", "csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_folders_that_are_refused(tmp_path: Path) -> None:
    """An existing one, and one inside the data."""
    folder = write_yolo(tmp_path / "data", {"a.png": [CAT]})
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match=r"already exists\. Choose a new folder\."):
        converted(folder, tmp_path / "out")
    with pytest.raises(OutputError, match="is inside the data, which is never changed"):
        converted(folder, folder / "out")
    with pytest.raises(OptionError, match="Option 'format' cannot be 'voc'"):
        converted(folder, tmp_path / "other", "voc")


def test_data_without_boxes(tmp_path: Path) -> None:
    """There is nothing to convert."""
    image(tmp_path / "data/cat/a.png")
    with pytest.raises(DataError, match="has no boxes"):
        converted(tmp_path / "data", tmp_path / "out")


def test_what_is_printed(tmp_path: Path) -> None:
    """The numbers, and the command to train; the same as JSON."""
    conversion = converted(write_yolo(tmp_path / "data", SPLIT), tmp_path / "out")
    console = Console(width=300, record=True, file=io.StringIO())
    show_conversion(console, conversion)
    assert console.export_text().splitlines() == [
        f"Written to {tmp_path / 'out'}: 3 images (1 test, 2 train) with 3 boxes of 2 classes.",
        f"  train  headstart train {tmp_path / 'out'}",
    ]
    assert json.loads(json.dumps(conversion.to_json())) == {
        "out": str(tmp_path / "out"),
        "format": "coco",
        "images": {"test": 1, "train": 2},
        "boxes": 3,
        "classes": ["cat", "dog"],
        "turned": 0,
        "left_out": [],
        "crowds_left_out": 0,
    }


def test_counts_of_one(tmp_path: Path) -> None:
    """One image, one box, one class."""
    conversion = converted(write_yolo(tmp_path / "data", {"a.png": [CAT]}), tmp_path / "out")
    console = Console(width=300, record=True, file=io.StringIO())
    show_conversion(console, conversion)
    assert console.export_text().splitlines()[0] == (
        f"Written to {tmp_path / 'out'}: 1 image with 1 box of 1 class."
    )
