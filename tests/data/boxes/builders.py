"""Write images with boxes in the formats that people have."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from headstart.data.boxes.labels import LabelledBox, read_boxes
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.listing import Source
from headstart.data.sources import open_source

WIDTH, HEIGHT = 60, 40
CAT = LabelledBox("cat", 5, 10, 25, 30)
DOG = LabelledBox("dog", 30, 0, 60, 40)

Boxes = Mapping[str, Sequence[LabelledBox]]


def image(
    path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), orientation: int | None = None
) -> None:
    """Write an image, with its EXIF orientation if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, (90, 120, len(path.name))).save(path, exif=exif)


def write(path: Path, text: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def coco_of(boxes: Boxes, **changes: object) -> dict:
    """Return COCO's document for images of the usual size."""
    names = sorted({box.label for found in boxes.values() for box in found})
    annotations = [
        {
            "id": 1000 * number + place,
            "image_id": number,
            "category_id": names.index(box.label) + 1,
            "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
            "iscrowd": int(box.crowd),
        }
        for number, found in enumerate(boxes.values())
        for place, box in enumerate(found)
    ]
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(boxes)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    return {**document, **changes}


def write_coco(file: Path, boxes: Boxes, **changes: object) -> Path:
    """Write COCO's JSON of images of the usual size, which it does not write."""
    return write(file, json.dumps(coco_of(boxes, **changes)))


def voc_of(
    boxes: Sequence[LabelledBox], filename: str, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> str:
    """Return Pascal VOC's XML of an image."""
    objects = "".join(
        f"<object><name>{box.label}</name><difficult>0</difficult><bndbox><xmin>{box.x1}</xmin>"
        f"<ymin>{box.y1}</ymin><xmax>{box.x2}</xmax><ymax>{box.y2}</ymax></bndbox></object>"
        for box in boxes
    )
    return (
        f"<annotation><filename>{filename}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


def yolo_of(boxes: Sequence[LabelledBox], names: Sequence[str] = ("cat", "dog")) -> str:
    """Return YOLO's lines for the boxes of an image of the usual size."""
    return "".join(
        f"{names.index(box.label)} {(box.x1 + box.x2) / 2 / WIDTH} {(box.y1 + box.y2) / 2 / HEIGHT}"
        f" {(box.x2 - box.x1) / WIDTH} {(box.y2 - box.y1) / HEIGHT}\n"
        for box in boxes
    )


def write_yolo(folder: Path, boxes: Boxes, names: str | None = "names: [cat, dog]\n") -> Path:
    """Write images and label files in folders of these names, and data.yaml."""
    for name, found in boxes.items():
        image(folder / "images" / name)
        write((folder / "labels" / name).with_suffix(".txt"), yolo_of(found))
    if names:
        write(folder / "data.yaml", names)
    return folder


def write_csv(file: Path, header: str, *rows: Sequence[object]) -> Path:
    """Write a CSV file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header.split(","), *rows])
    return file


def opened(data: Path, task: str = "auto", known: Sequence[str] = (), **options: object) -> Source:
    """Open data that is expected to have boxes."""
    interpretation = Interpretation(Labelling(task, known=known), **options)
    source = open_source(data, data.parent / "staging", interpretation)
    assert source.task == "boxes"
    return source


def boxes_in(source: Source) -> dict[str, list[LabelledBox]]:
    """Return the boxes of each image that is not rejected."""
    return {
        entry.image: read_boxes(entry.label or "") for entry in source.entries if not entry.rejected
    }


def reasons(source: Source) -> dict[str, str]:
    """Return why images are rejected."""
    return {entry.image: entry.rejected for entry in source.entries if entry.rejected}


def parts(source: Source) -> dict[str, str | None]:
    """Return the part of each image."""
    return {entry.image: entry.split for entry in source.entries}
