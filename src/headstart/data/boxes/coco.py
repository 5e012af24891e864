"""COCO's JSON: images, categories, and annotations with x, y, width and height in pixels.

Coordinates are those of the image's edges: the left edge of the first pixel is 0. An annotation
without a box has that of its polygon; one that has only a run-length mask is left out.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from typing_extensions import TypeIs

from headstart.data.boxes.annotations import (
    BoxedImage,
    BoxSet,
    merged_by_file,
    without_lone_part,
)
from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.labels import LabelledBox, class_name
from headstart.data.boxes.numbers import bounds, number, size_of
from headstart.data.boxes.part_names import part_of_name
from headstart.data.boxes.tally import Tally
from headstart.data.paths import list_names
from headstart.errors import DataError

KEYS = ("images", "annotations", "categories")
"""The lists that a file must have."""

_MARKS = tuple(f'"{key}"'.encode() for key in KEYS)
_ORDER = "COCO's are x, y, width, height."
_NO_BOX = (
    "Masks of run lengths without a box, left out; write the box around each as its 'bbox', as "
    "pycocotools.mask.toBbox computes it"
)
_Object = Mapping[str, object]


def find_coco(files: FolderFiles) -> list[Path]:
    """Return COCO's files of boxes; if some are named instances_*, only these."""
    found = [file for file in files.with_suffix(".json") if looks_like_coco(file)]
    instances = [file for file in found if file.name.lower().startswith("instances")]
    return instances or found


def looks_like_coco(file: Path) -> bool:
    """Return whether a file names the three lists that COCO's files have."""
    try:
        content = file.read_bytes()
    except OSError:
        return False
    return content.lstrip()[:1] == b"{" and all(mark in content for mark in _MARKS)


def read_coco(annotations: Sequence[Path], files: FolderFiles, *, is_whole: bool = True) -> BoxSet:
    """Read the boxes of one file or of several, which are then the parts of a split.

    Args:
        annotations: The files.
        files: Where the images are.
        is_whole: Whether all images of `files` should be listed.

    Raises:
        DataError: A file cannot be parsed, or contradicts itself.
    """
    tally = Tally()
    found: list[BoxedImage] = []
    unused: dict[str, None] = {}
    for file in annotations:
        document = _Document.read(file, tally)
        found += document.boxed_images(files, part_of_name(file.stem) or files.part_of(file))
        unused |= dict.fromkeys(document.names.values())
    images = without_lone_part(merged_by_file(found, tally))
    labels = {box.label for image in images for box in image.boxes}
    names = list_names([files.name(file) for file in annotations], 3)
    understood = [f"Boxes: COCO's {names}."]
    if any(image.split for image in images):
        understood.append("Split: the names of these files and of their folders.")
    if without := sorted(set(unused) - labels):
        understood.append(f"Categories without boxes, which are no classes: {list_names(without)}.")
    listed = {image.path for image in images}
    for image in files.images if is_whole else ():
        if str(image) not in listed:
            tally.add("Images that COCO's files do not list, left out", files.name(image))
    return BoxSet(
        images,
        f"COCO's {names}",
        len(images),
        tuple(understood),
        tally.sentences(),
        if_leaving=f"are these x1, y1, x2, y2? {_ORDER}",
        if_backward=f"are widths and heights negative? {_ORDER}",
    )


@dataclass(frozen=True)
class _Document:
    """A file that was parsed.

    Attributes:
        file: Its path.
        images: Its images by their ids.
        names: The names of its categories by their ids.
        annotations: Its annotations.
        tally: Counts what is left out.
    """

    file: Path
    images: Mapping[object, _Object]
    names: Mapping[object, str]
    annotations: Sequence[_Object]
    tally: Tally = field(repr=False)

    @classmethod
    def read(cls, file: Path, tally: Tally) -> "_Document":
        document = parse_coco(file)
        images, annotations, categories = (object_list(file, document, key) for key in KEYS)
        names = categories_of(file, categories)
        found = images_of(file, images)
        counts = Counter(image["id"] for image in images)
        for identity, image in found.items():
            kind = "Images that COCO's file lists twice"
            tally.add(kind, str(image["file_name"]), counts[identity] - 1)
        by_id = cast("Mapping[object, _Object]", found)  # Annotations may name anything as an id.
        return cls(file, by_id, cast("Mapping[object, str]", names), annotations, tally)

    def boxed_images(self, files: FolderFiles, part: str | None) -> Iterator[BoxedImage]:
        """Yield the images that the file lists."""
        boxes: dict[object, list[LabelledBox]] = {identity: [] for identity in self.images}
        places = {
            identity: _Place.of(str(image["file_name"]), files, self.file.parent, part)
            for identity, image in self.images.items()
        }
        counted: Counter[object] = Counter()
        for annotation in self.annotations:
            counted[_hashable(annotation.get("id"))] += 1
            image = _hashable(annotation.get("image_id"))
            if image not in boxes:
                unlisted = f"image {image} of {self.file.name}"
                self.tally.add("Boxes of images that COCO's file does not list, left out", unlisted)
                continue
            category = _hashable(annotation.get("category_id"))
            name = places[image].name
            if category is None:
                self.tally.add("Boxes without a category, left out", name)
                continue
            if category not in self.names:
                kind = f"Boxes of a category that '{self.file.name}' does not name, left out"
                self.tally.add(kind, f"{name} has the category {category}")
                continue
            if corners := self._corners(annotation, name):
                crowd = annotation.get("iscrowd") in (1, True)
                boxes[image].append(LabelledBox.of(self.names[category], corners, crowd=crowd))
        if repeated := sum(count - 1 for name, count in counted.items() if name is not None):
            self.tally.say(_repeated(repeated, self.file.name))
        for identity, described in self.images.items():
            place = places[identity]
            yield BoxedImage(
                place.name,
                str(place.path),
                tuple(boxes[identity]),
                size_of(described.get("width"), described.get("height")),
                split=part,
                rejected=place.problem,
            )

    def _corners(self, annotation: _Object, image: str) -> tuple[float, ...] | None:
        """Return x1, y1, x2, y2 of an annotation; None if it has neither a box nor a polygon."""
        box = annotation.get("bbox")
        if isinstance(box, list) and len(box) == 4:
            left, top, width, height = map(number, box)
            return left, top, left + width, top + height
        outline = annotation.get("segmentation")
        if isinstance(outline, list) and outline:
            polygons = outline if isinstance(outline[0], list) else [outline]
            flat = [number(value) for polygon in polygons for value in polygon]
            if corners := bounds(flat):
                self.tally.add(
                    "Polygons without a box, of which the box around them is used", image
                )
                return corners
        self.tally.add(_NO_BOX if outline else "Annotations without a box, left out", image)
        return None


@dataclass(frozen=True)
class _Place:
    """Where an image is.

    Attributes:
        name: Its path within the folder or, if there is none, what the file calls it.
        path: The path of its file.
        problem: Why there is none, if so.
    """

    name: str
    path: Path
    problem: str | None

    @classmethod
    def of(cls, name: str, files: FolderFiles, near: Path, part: str | None) -> "_Place":
        path, problem = files.find(name, near, part)
        return cls(files.name(path) if problem is None else name, path, problem)


def _repeated(count: int, file: str) -> str:
    if count == 1:
        return f"1 annotation of '{file}' has an id that another has; both are kept."
    return f"{count:,} annotations of '{file}' have an id that another has; all are kept."


def parse_coco(file: Path) -> object:
    """Return what a file has.

    Raises:
        DataError: It cannot be read or parsed.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{file}' is not valid JSON: {error}.") from None


def object_list(file: Path, document: object, key: str) -> list[_Object]:
    """Return the images, annotations or categories of a file.

    Raises:
        DataError: It has none.
    """
    values = document.get(key) if isinstance(document, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError(
            f"'{file}' is not a COCO file of boxes: it needs a list of objects '{key}'."
        )
    return values


def categories_of(file: Path, categories: Sequence[_Object]) -> dict[int | str, str]:
    """Return the names of categories by their ids.

    Raises:
        DataError: One has no id or no name, or two have the same id.
    """
    names: dict[int | str, str] = {}
    for category in categories:
        identity, name = category.get("id"), class_name(category.get("name", ""))
        if not _is_id(identity) or not name:
            raise DataError(f"'{file}' has a category without an id or a name: {category}.")
        if names.setdefault(identity, name) != name:
            raise DataError(
                f"'{file}' has two categories with the id {identity}: '{names[identity]}' and "
                f"'{name}'. Correct it."
            )
    return names


def images_of(file: Path, images: Sequence[_Object]) -> dict[int | str, _Object]:
    """Return images by their ids.

    Raises:
        DataError: One has no id or no name, or two images have the same id.
    """
    found: dict[int | str, _Object] = {}
    for image in images:
        identity, name = image.get("id"), image.get("file_name")
        if not _is_id(identity) or not isinstance(name, str) or not name:
            raise DataError(f"'{file}' has an image without an id or a file_name: {image}.")
        first = found.setdefault(identity, image)
        if first["file_name"] != name:
            raise DataError(
                f"'{file}' has two images with the id {identity}: '{first['file_name']}' and "
                f"'{name}'. Whose boxes are those of the id {identity} is unclear; correct it."
            )
    return found


def _is_id(value: object) -> TypeIs[int | str]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _hashable(value: object) -> object:
    """Return an id that may be looked up; a list, which is not an id, is never found."""
    return value if isinstance(value, (int, str, float, type(None))) else str(value)
