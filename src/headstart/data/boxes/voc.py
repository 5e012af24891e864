"""Pascal VOC: an XML file for each image, as LabelImg and most tools for labelling write them.

Coordinates are taken as they are. In VOC itself, they are numbers of pixels counted from 1, and the
last pixel belongs to the box. Nearly every tool writes edges counted from 0 instead, and no file
says which, so that a box of VOC itself may be half a pixel to the right of where it is read.
Objects that are marked as difficult are objects like the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from headstart.data.boxes.annotations import (
    BoxedImage,
    BoxSet,
    merged_by_file,
    without_lone_part,
)
from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.labels import LabelledBox, class_name
from headstart.data.boxes.numbers import bounds, number, size_of
from headstart.data.boxes.tally import Tally
from headstart.data.boxes.xml_files import MalformedXml, UnsafeXml, parse_xml
from headstart.errors import DataError, reason_of

_PROBED = 20
_HEAD = 4096
_SIDES = ("xmin", "ymin", "xmax", "ymax")
# In this order: an image that is in trainval alone is for training.
_LISTS = {"train": "train", "val": "val", "test": "test", "trainval": "train"}


def find_voc(files: FolderFiles) -> list[Path]:
    """Return the XML files of a folder, if any of the first ones is an annotation."""
    found = files.with_suffix(".xml")
    return found if any(map(_is_annotation, found[:_PROBED])) else []


def _is_annotation(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return b"<annotation" in opened.read(_HEAD).replace(b"\0", b"")
    except OSError:
        return False


def read_voc(annotations: Sequence[Path], files: FolderFiles) -> BoxSet:
    """Read the boxes of a folder's XML files.

    An annotation is of the image with its own name, in its folder, in the folder JPEGImages beside
    its folder, or elsewhere. If there is none, it is of the image that it names.

    Args:
        annotations: The XML files; those that are not annotations are left out.
        files: Where the images are.

    Raises:
        DataError: A file declares a document type, which might expand without end.
    """
    reader = _Reader(files, Tally(), _listed_parts(files))
    found = [image for file in annotations for image in reader.read(file)]
    images = without_lone_part(merged_by_file(found, reader.tally))
    listed = {image.path for image in images}
    for image in files.images:
        if str(image) not in listed:
            reader.tally.add("Images without an XML file, left out", files.name(image))
    understood = ["Boxes: Pascal VOC's XML files."]
    if any(image.split for image in images):
        lists = "the files of ImageSets/Main" if reader.parts else "folders"
        understood.append(f"Split: {lists}.")
    where = "Pascal VOC's XML files"
    return BoxSet(images, where, len(images), tuple(understood), reader.tally.sentences())


def _listed_parts(files: FolderFiles) -> dict[str, str]:
    """Return the part of each image by its name without suffix, from the lists of ImageSets."""
    parts: dict[str, str] = {}
    lists = {file.stem: file for file in files.with_suffix(".txt") if file.parent.name == "Main"}
    for name, part in _LISTS.items():
        if name in lists and lists[name].parent.parent.name == "ImageSets":
            for line in lists[name].read_text("utf-8", "replace").splitlines():
                parts.setdefault(line.strip(), part)
                parts.setdefault(PurePosixPath(line.strip()).stem, part)
    return parts


@dataclass(frozen=True)
class _Reader:
    """Reads XML files.

    Attributes:
        files: Where the images are.
        tally: Counts what is left out.
        parts: The part of a split of each image, by its name without suffix.
    """

    files: FolderFiles
    tally: Tally
    parts: dict[str, str]

    def read(self, file: Path) -> Iterator[BoxedImage]:
        """Yield the image of an XML file, if that is an annotation."""
        try:
            root = parse_xml(file.read_bytes())
        except UnsafeXml:
            raise DataError(
                f"'{file}' declares a document type (DOCTYPE), which might expand without end and "
                "which no annotation needs. Remove the declaration, or the file."
            ) from None
        except (MalformedXml, OSError) as error:
            reason = f"its annotation '{self.files.name(file)}' cannot be read: {reason_of(error)}"
            path, missing = self._own(file)
            name = self.files.name(path) if missing is None else file.stem
            yield BoxedImage(name, str(path), rejected=reason)
            return
        if root.tag == "annotation":
            yield self._image(file, root)

    def _image(self, file: Path, root: Element) -> BoxedImage:
        path, missing = self._find(file, _text(root, "filename"))
        name = self.files.name(path) if missing is None else f"{file.stem}.xml"
        boxes = tuple(self._boxes(root, name))
        listed = self.parts.get(file.stem, self.parts.get(path.stem))
        return BoxedImage(
            name,
            str(path),
            boxes,
            size_of(_text(root, "size/width"), _text(root, "size/height")),
            split=listed if self.parts else self.files.part_of(file),
            rejected=missing,
        )

    def _find(self, file: Path, named: str) -> tuple[Path, str | None]:
        """Return the image of an annotation: that of its own name, or else the one it names."""
        path, missing = self._own(file)
        stem = PurePosixPath(named.replace("\\", "/")).stem
        if missing is None:
            if named and file.stem not in (stem, named):
                example = f"{self.files.name(file)} names {named}"
                self.tally.add("XML files read as of their own name, not of that in them", example)
            return path, None
        if not named:
            return path, missing
        return self.files.find(named, file.parent, self.files.part_of(file))

    def _own(self, file: Path) -> tuple[Path, str | None]:
        return self.files.find(file.stem, file.parent, self.files.part_of(file), by_stem=True)

    def _boxes(self, root: Element, image: str) -> Iterator[LabelledBox]:
        for item in root.findall("object"):
            label = class_name(_text(item, "name"))
            corners = _corners(item)
            if corners is None:
                self.tally.add("Objects without a box, left out", image)
            elif not label:
                self.tally.add("Objects without a name, left out", image)
            else:
                yield LabelledBox.of(label, corners)


def _corners(item: Element) -> tuple[float, ...] | None:
    """Return x1, y1, x2, y2 of an object: its box, or that around its polygon."""
    box = item.find("bndbox")
    if box is not None:
        return tuple(number(_text(box, side)) for side in _SIDES)
    polygon = item.find("polygon")
    if polygon is None:
        return None
    return bounds(number(point.text) for point in polygon.iter() if point is not polygon)


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
