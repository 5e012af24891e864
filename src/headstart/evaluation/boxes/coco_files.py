"""Labelled boxes and detections in COCO's format: dictionaries, and the JSON files of these.

Images are numbered from 1 in their order, and so are categories in the order of the classes. Boxes
are x, y, width, height in pixels. All numbers keep every digit, so that metrics which are computed
from the files equal those of the boxes themselves.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.arrays import Corners
from headstart.boxes import Boxes, Detections
from headstart.files import write_atomically

Size = tuple[int, int]
"""Width and height of an image, in pixels."""


def coco_truth(
    truths: Sequence[Boxes],
    sizes: Sequence[Size],
    classes: Sequence[str],
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Return labelled boxes as the dictionary of a COCO file of instances.

    Args:
        truths: The true boxes of each image.
        sizes: The width and height of each image.
        classes: The names of the classes.
        names: The file name of each image; its number by default.
    """
    named = names or [str(number) for number in range(1, len(truths) + 1)]
    images = [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(zip(named, sizes, strict=True), start=1)
    ]
    annotations = [
        {
            "image_id": number,
            "category_id": category + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(crowd),
        }
        for number, truth in enumerate(truths, start=1)
        for box, category, crowd in zip(
            _as_xywh(truth.corners), truth.classes.tolist(), truth.crowd.tolist(), strict=True
        )
    ]
    # An annotation with the number 0 would never be matched.
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_results(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    """Return the detections of each image as the list of a COCO file of results."""
    return [
        {"image_id": number, "category_id": category + 1, "bbox": box, "score": score}
        for number, found in enumerate(detections, start=1)
        for box, category, score in zip(
            _as_xywh(found.corners), found.classes.tolist(), found.scores.tolist(), strict=True
        )
    ]


def write_coco(
    path: Path,
    truths: Sequence[Boxes],
    sizes: Sequence[Size],
    classes: Sequence[str],
    names: Sequence[str] = (),
) -> None:
    """Write a COCO file of instances, completely or not at all; see `coco_truth`.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomically(path, json.dumps(coco_truth(truths, sizes, classes, names)) + "\n")


def write_coco_results(path: Path, detections: Sequence[Detections]) -> None:
    """Write a COCO file of results, completely or not at all; see `coco_results`.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomically(path, json.dumps(coco_results(detections)) + "\n")


def _as_xywh(corners: Corners) -> list[list[float]]:
    """Return boxes as x, y, width, height, in double precision."""
    exact = corners.astype("float64").reshape(-1, 4)
    exact[:, 2:] -= exact[:, :2]
    boxes: list[list[float]] = exact.tolist()
    return boxes
