"""Write boxes as COCO's JSON, as YOLO's label files or as a CSV file.

Each writer receives the images of a data set, which are in the folder `images` of the new one,
in a folder for each part of the split if there is one.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml  # type: ignore[import-untyped]

from headstart.data.boxes.labels import LabelledBox
from headstart.data.labels import cell_text
from headstart.errors import DataError
from headstart.options import BoxFormat

IMAGES = "images"
"""The folder of the images."""


@dataclass(frozen=True)
class WrittenImage:
    """An image of a new data set.

    Attributes:
        name: Its path within the folder of the images of its part.
        part: "train", "val" or "test"; None without a split.
        width: Its width in pixels as it is seen.
        height: Its height.
        boxes: Its boxes, in pixels of the image as it is seen.
        group: The user's own group, if any.
    """

    name: str
    part: str | None
    width: int
    height: int
    boxes: Sequence[LabelledBox]
    group: str | None = None

    @property
    def path(self) -> str:
        """Its path within the new data set."""
        return str(PurePosixPath(IMAGES, self.part or "", self.name))


def write_coco(folder: Path, images: Sequence[WrittenImage]) -> None:
    """Write a JSON file for each part, `annotations/instances_train.json`."""
    labels = _labels(images)
    categories = [{"id": number, "name": name} for number, name in enumerate(labels, start=1)]
    numbers = {name: number for number, name in enumerate(labels, start=1)}
    (folder / "annotations").mkdir()
    for part, members in _by_part(images).items():
        annotations = [
            (number, box) for number, image in enumerate(members, start=1) for box in image.boxes
        ]
        document = {
            "images": [
                {"id": number, "file_name": one.name, "width": one.width, "height": one.height}
                for number, one in enumerate(members, start=1)
            ],
            "annotations": [
                {
                    "id": number,
                    "image_id": image,
                    "category_id": numbers[box.label],
                    "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                    "area": (box.x2 - box.x1) * (box.y2 - box.y1),
                    "iscrowd": int(box.crowd),
                }
                for number, (image, box) in enumerate(annotations, start=1)
            ],
            "categories": categories,
        }
        name = f"instances_{part}.json" if part else "instances.json"
        (folder / "annotations" / name).write_text(
            json.dumps(document, ensure_ascii=False), "utf-8"
        )


def write_yolo(folder: Path, images: Sequence[WrittenImage]) -> None:
    """Write a label file for each image below `labels`, and `data.yaml`.

    Boxes around crowds are left out, as the format does not have them.
    """
    labels = _labels(images)
    numbers = {name: number for number, name in enumerate(labels)}
    for image in images:
        file = folder / PurePosixPath("labels", image.part or "", image.name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [_line(numbers[box.label], box, image) for box in image.boxes if not box.crowd]
        file.write_text("".join(lines))
    parts = {part: f"{IMAGES}/{part}" for part in ("train", "val", "test") if _has(images, part)}
    if not parts:  # YOLO's programs need both.
        parts = dict.fromkeys(("train", "val"), IMAGES)
    document = {**parts, "nc": len(labels), "names": labels}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, "utf-8")


def write_csv(folder: Path, images: Sequence[WrittenImage]) -> None:
    """Write `boxes.csv`, with a row for each box, and one for each image without boxes.

    Raises:
        DataError: A label would be read as a missing cell.
    """
    if lost := [label for label in _labels(images) if cell_text(label) != label]:
        raise DataError(
            f"The label '{lost[0]}' would be read from a CSV file as a missing cell. Rename it, or "
            "pass another --format."
        )
    optional: dict[str, Callable[[WrittenImage, LabelledBox | None], object]] = {}
    if any(box.crowd for image in images for box in image.boxes):
        optional["iscrowd"] = lambda _, box: int(box.crowd) if box else ""
    if any(image.part for image in images):
        optional["split"] = lambda image, _: image.part or ""
    if any(image.group for image in images):
        optional["group"] = lambda image, _: image.group or ""
    with (folder / "boxes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "width", "height", "x1", "y1", "x2", "y2", "label", *optional])
        for image in images:
            for box in image.boxes or (None,):
                cells = (*box.corners, box.label) if box else ("",) * 5
                others = (cell(image, box) for cell in optional.values())
                writer.writerow([image.path, image.width, image.height, *cells, *others])


WRITERS: Mapping[BoxFormat, Callable[[Path, Sequence[WrittenImage]], None]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "csv": write_csv,
}
"""What writes each format into the folder of a new data set, whose images are there."""


def _labels(images: Sequence[WrittenImage]) -> list[str]:
    return sorted({box.label for image in images for box in image.boxes})


def _by_part(images: Sequence[WrittenImage]) -> dict[str | None, list[WrittenImage]]:
    found: dict[str | None, list[WrittenImage]] = defaultdict(list)
    for image in images:
        found[image.part].append(image)
    return found


def _has(images: Sequence[WrittenImage], part: str) -> bool:
    return any(image.part == part for image in images)


def _line(number: int, box: LabelledBox, image: WrittenImage) -> str:
    """Return the line of a box: its class, centre, width and height, as shares of the image."""
    shares = (
        (box.x1 + box.x2) / 2 / image.width,
        (box.y1 + box.y2) / 2 / image.height,
        (box.x2 - box.x1) / image.width,
        (box.y2 - box.y1) / image.height,
    )
    return f"{number} {' '.join(f'{share:.10f}' for share in shares)}\n"
