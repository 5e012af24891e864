"""Made-up scenes: coloured shapes on noise, with exact boxes, in the formats that people have."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from headstart.data.boxes.labels import LabelledBox

CLASSES = ("disc", "square")
COLOURS = {"disc": (30, 60, 220), "square": (225, 40, 30)}


class Scene(NamedTuple):
    """An image with its boxes."""

    image: Image.Image
    boxes: tuple[LabelledBox, ...]


def background(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return grey noise, a different one for each seed."""
    noise = np.random.default_rng(seed).normal(120, 25, (size[1] // 4 + 1, size[0] // 4 + 1, 3))
    small = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def scene(
    seed: int,
    *,
    size: tuple[int, int] = (96, 72),
    classes: Sequence[str] = CLASSES,
    count: int | None = None,
    sides: tuple[int, int] = (20, 40),
) -> Scene:
    """Paint shapes at random places, which do not overlap much.

    Args:
        seed: The seed of everything random.
        size: Width and height of the image.
        classes: The shapes.
        count: How many shapes; 1 or 2 by default.
        sides: The smallest and the largest side of a shape.
    """
    draw = np.random.default_rng([seed, 1])
    image = background(seed, size)
    boxes: list[LabelledBox] = []
    for _ in range(int(draw.integers(1, 3)) if count is None else count):
        width, height = draw.integers(sides[0], sides[1] + 1, 2).tolist()
        x, y = int(draw.integers(0, size[0] - width)), int(draw.integers(0, size[1] - height))
        if any(_touch((x, y, x + width, y + height), box) for box in boxes):
            continue
        name = classes[int(draw.integers(len(classes)))]
        paint(image, name, (x, y, x + width, y + height))
        boxes.append(LabelledBox(name, x, y, x + width, y + height))
    return Scene(image, tuple(boxes))


def paint(image: Image.Image, name: str, box: tuple[int, int, int, int]) -> None:
    """Paint a shape that fills a box."""
    pen, (x1, y1, x2, y2) = ImageDraw.Draw(image), box
    shape = pen.ellipse if name == "disc" else pen.rectangle
    shape((x1, y1, x2 - 1, y2 - 1), fill=COLOURS[name])


def scenes(count: int, **options) -> dict[str, Scene]:
    """Return scenes by the names of their files."""
    return {f"{number:03d}.png": scene(number, **options) for number in range(count)}


def write_yolo(folder: Path, made: dict[str, Scene], classes: Sequence[str] = CLASSES) -> Path:
    """Write a data set with YOLO's label files; an image without boxes has an empty one."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for name, (image, boxes) in made.items():
        image.save(folder / "images" / name)
        lines = [_yolo_line(box, image.size, classes) for box in boxes]
        (folder / "labels" / name).with_suffix(".txt").write_text("".join(lines))
    (folder / "data.yaml").write_text(f"names: [{', '.join(classes)}]\n")
    return folder


def write_coco(folder: Path, made: dict[str, Scene], classes: Sequence[str] = CLASSES) -> Path:
    """Write images and COCO's JSON of them, and return the path of the latter."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, (name, (image, boxes)) in enumerate(made.items()):
        image.save(folder / "images" / name)
        images.append(
            {"id": number, "file_name": name, "width": image.width, "height": image.height}
        )
        for box in boxes:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": classes.index(box.label) + 1,
                    "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                    "iscrowd": int(box.crowd),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


def write_csv(folder: Path, made: dict[str, Scene]) -> Path:
    """Write images and a table of their boxes, and return the path of the latter."""
    folder.mkdir(parents=True)
    rows: list[Sequence[object]] = [("path", "x1", "y1", "x2", "y2", "label")]
    for name, (image, boxes) in made.items():
        image.save(folder / name)
        rows += [(name, *box.corners, box.label) for box in boxes]
        rows += [] if boxes else [(name, "", "", "", "", "")]
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "boxes.csv"


def _yolo_line(box: LabelledBox, size: tuple[int, int], classes: Sequence[str]) -> str:
    (width, height), (x1, y1, x2, y2) = size, box.corners
    middle = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
    sides = (x2 - x1) / width, (y2 - y1) / height
    return " ".join(map(str, (classes.index(box.label), *middle, *sides))) + "\n"


def _touch(first: tuple[int, int, int, int], box: LabelledBox) -> bool:
    return not (
        first[2] <= box.x1 or first[0] >= box.x2 or first[3] <= box.y1 or first[1] >= box.y2
    )


PLAIN, DARK = (124, 116, 104), (24, 16, 4)
"""The mean colour, with which images are padded, and that of a box on it."""


def box_on_plain(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """Return an image of the mean colour with a dark box."""
    image = Image.new("RGB", size, PLAIN)
    image.paste(DARK, box)
    return image


def dark_box(pixels: np.ndarray) -> np.ndarray:
    """Return x1, y1, x2, y2 of the only dark box in pixels, to a small fraction of a pixel."""
    share = (PLAIN[0] - pixels[:, :, 0].astype(np.float64)) / (PLAIN[0] - DARK[0])
    x1, x2 = _extent(share)
    y1, y2 = _extent(share.T)
    return np.array([x1, y1, x2, y2])


def _extent(share: np.ndarray) -> tuple[float, float]:
    """Return begin and end of a box along the columns, from the rows in its middle."""
    inside = np.flatnonzero(share.max(axis=1) > 0.5)
    quarter = len(inside) // 4
    profile = share[inside[quarter : len(inside) - quarter]].mean(axis=0)
    profile /= np.median(profile[profile > 0.5])
    width = profile.sum()
    middle = (profile * (np.arange(len(profile)) + 0.5)).sum() / width
    return middle - width / 2, middle + width / 2
