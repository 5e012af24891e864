"""YOLO: a text file for each image, with a line for each box.

A line has the number of a class, and the centre, width and height of a box as shares of the image's
width and height. With more numbers, it is a polygon, of which the box around it is used. The tools
disagree on whether the image is turned by its metadata first; here it is, as those do that read
images with OpenCV.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.boxes.annotations import BoxedImage, BoxSet, without_lone_part
from headstart.data.boxes.folder_files import IMAGE_FOLDERS, FolderFiles
from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.numbers import bounds, number
from headstart.data.boxes.tally import Tally
from headstart.data.boxes.yolo_names import YoloNames, YoloParts, read_names
from headstart.data.boxes.yolo_units import (
    CORNERS,
    Line,
    corners_in_pixels,
    is_beyond,
    mostly_beyond,
)
from headstart.data.paths import list_names
from headstart.files import size_of

_LABEL_FOLDERS = ("labels", "label")
_PROBED = 20
# Lists of classes or images, not boxes.
_OTHERS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt")


def find_yolo(files: FolderFiles) -> dict[Path, Path]:
    """Return the label file of each image that has one, if the first of them have boxes."""
    pairs = _label_files(files)
    filled = [file for file in pairs.values() if size_of(file)]
    if any(map(_has_boxes, filled[:_PROBED])):
        return pairs
    return pairs if pairs and not filled and read_names(files).names else {}


def find_labels(files: FolderFiles) -> list[Path]:
    """Return the files in folders of labels that have boxes, if any of the first ones has some."""
    found = [file for file in files.with_suffix(".txt") if _is_in_labels(file, files)]
    return found if any(map(_has_boxes, found[:_PROBED])) else []


def expected_label_file(image: Path, root: Path) -> Path:
    """Return where the label file of an image would be."""
    return next(_places(image, root))


def read_yolo(labels: Mapping[Path, Path], files: FolderFiles) -> BoxSet:
    """Read the boxes of YOLO's label files.

    An image without a label file is background if others in its folder have one.

    Args:
        labels: The label file of each image.
        files: Where everything is.

    Raises:
        DataError: Files name different classes, or the unit of the numbers is unclear.
    """
    tally = Tally()
    names = read_names(files)
    reader = _Reader(files, names, YoloParts.of(names, files), tally)
    parsed = {image: reader.parse(labels[image]) for image in labels}
    pixels = _in_pixels(parsed, files)
    found = []
    folders = {image.parent for image in labels}
    for image in files.images:
        if image in parsed:
            found.append(reader.image(image, parsed[image], pixels))
        elif image.parent in folders:
            tally.add("Images without a label file, taken as background", files.name(image))
            found.append(reader.image(image, _Parsed(), pixels))
        else:
            kind = "Images in folders without any label file, left out"
            tally.add(kind, files.name(image))
    used = set(labels.values())
    for file in files.with_suffix(".txt"):
        if file not in used and _is_in_labels(file, files) and _has_boxes(file):
            tally.add("Label files without an image, left out", files.name(file))
    images = without_lone_part(found)
    understood = [f"Boxes: YOLO's label files. {_named(names, files)}"]
    if any(image.split for image in images):
        by_yaml = reader.parts.folders or reader.parts.listed
        whose = f"'{files.name(names.files[0])}'" if by_yaml else "folders"
        understood.append(f"Split: {whose}.")
    warnings = list(tally.sentences())
    if pixels:
        warnings.insert(0, f"YOLO's numbers are pixels, not shares of the image: read as {pixels}.")
    return BoxSet(images, "YOLO's label files", len(labels), tuple(understood), tuple(warnings))


def _named(names: YoloNames, files: FolderFiles) -> str:
    if names.names is None:
        return "Classes: numbers, as no data.yaml, obj.names or classes.txt names them."
    return f"Classes: {list_names([files.name(file) for file in names.files], 2)}."


def _in_pixels(parsed: Mapping[Path, "_Parsed"], files: FolderFiles) -> str | None:
    """Return how numbers are to be read if they are pixels; None if they are shares.

    Raises:
        DataError: They are pixels, and it is unclear of what.
    """
    lines = {image: one.lines for image, one in parsed.items() if one.lines}
    return corners_in_pixels(lines, files.name) if mostly_beyond(lines.values()) else None


@dataclass(frozen=True)
class _Parsed:
    """A label file that was read.

    Attributes:
        lines: Its boxes.
        problem: Why it cannot be used, if it cannot.
    """

    lines: Sequence[Line] = ()
    problem: str | None = None


@dataclass(frozen=True)
class _Reader:
    """Reads label files.

    Attributes:
        files: Where everything is.
        names: The classes.
        parts: The split.
        tally: Counts what is left out.
    """

    files: FolderFiles
    names: YoloNames
    parts: YoloParts
    tally: Tally = field(repr=False)

    def parse(self, file: Path) -> _Parsed:
        """Return the lines of a label file, or the problem with it."""
        name = self.files.name(file)
        try:
            text = file.read_text("utf-8-sig", "replace")
        except OSError as error:
            return _Parsed(problem=f"its label file '{name}' cannot be read: {error.strerror}")
        lines = []
        for row, words in enumerate(map(str.split, text.split("\n")), start=1):
            if not words:
                continue
            if line := self._line(row, words, name):
                lines.append(line)
        return _Parsed(lines)

    def image(self, image: Path, parsed: _Parsed, pixels: str | None) -> BoxedImage:
        """Return an image with its boxes.

        If numbers are shares, lines with others are left out; if a file has no other lines, it is
        in another unit, and its image is rejected.
        """
        name = self.files.name(image)
        beyond = [] if pixels else list(filter(is_beyond, parsed.lines))
        problem = parsed.problem
        if beyond and len(beyond) == len(parsed.lines):
            problem = problem or (
                f"line {beyond[0].row} of its label file has the number {max(beyond[0].numbers):g},"
                " but YOLO's are shares of the image, 0 to 1"
            )
        for line in () if problem else beyond:
            kind = "Lines with numbers that are not shares of the image, 0 to 1, left out"
            self.tally.add(kind, f"line {line.row} of the label file of {name}")
        return BoxedImage(
            name,
            str(image),
            tuple(
                LabelledBox.of(line.label, line.corners(centred=pixels != CORNERS))
                for line in parsed.lines
                if line not in beyond
            ),
            in_shares=pixels is None,
            split=self.parts.of_image(image) or self.files.part_of(image),
            rejected=problem,
        )

    def _line(self, row: int, words: Sequence[str], file: str) -> Line | None:
        """Return the box of a line; None if it is left out."""
        label = self._label(words[0])
        if label is None:
            self.tally.add(self._unknown_class, f"class {words[0]} in line {row} of {file}")
            return None
        numbers = tuple(map(number, words[1:]))
        if self.names.has_keypoints:
            numbers = numbers[:4]
        if len(numbers) == 5:
            self.tally.add("Lines with a number after the box, which is not used", file)
            numbers = numbers[:4]
        if len(numbers) == 4:
            return Line(row, label, numbers)
        if corners := bounds(numbers):
            self.tally.add("Polygons, of which the box around them is used", file)
            return Line(row, label, corners, is_outline=True)
        kind = "Lines that do not have 4 numbers after the class, left out"
        self.tally.add(kind, f"line {row} of {file}")
        return None

    @property
    def _unknown_class(self) -> str:
        if self.names.names is None:
            return "Lines whose class is not a number, left out"
        named = list_names([self.files.name(file) for file in self.names.files], 2)
        return f"Lines with a class that {named} does not name, left out"

    def _label(self, word: str) -> str | None:
        """Return the name of a class by its number; None if it has none."""
        value = number(word)
        if not value.is_integer() or value < 0:
            return word if word in (self.names.names or {}).values() else None
        if self.names.names is None:
            return str(int(value))
        return self.names.names.get(int(value))


def _label_files(files: FolderFiles) -> dict[Path, Path]:
    """Return the label file of each image that has one.

    It has the same name, and is in the folder "labels" in place of "images", or in the same folder,
    or else in the only other one that has such a file and is of the same part.
    """
    texts = [file for file in files.with_suffix(".txt") if file.name.lower() not in _OTHERS]
    if not texts:
        return {}
    known = frozenset(texts)
    stems = Counter(file.stem for file in texts)
    by_stem = {file.stem: file for file in texts if stems[file.stem] == 1}
    found = {}
    for image in files.images:
        label = next((file for file in _places(image, files.root) if file in known), None)
        if label is None and (other := by_stem.get(image.stem)):
            alone = files.part_of(other) == files.part_of(image)
            label = other if alone and _is_in_labels(other, files) else None
        if label:
            found[image] = label
    return found


def _places(image: Path, root: Path) -> Iterator[Path]:
    """Yield where the label file of an image may be."""
    parts = list(image.relative_to(root).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() in IMAGE_FOLDERS:
            for name in _LABEL_FOLDERS:
                swapped = [*parts[:place], name, *parts[place + 1 :]]
                yield root.joinpath(*swapped).with_suffix(".txt")
    yield image.with_suffix(".txt")


def _is_in_labels(file: Path, files: FolderFiles) -> bool:
    folders = file.relative_to(files.root).parts[:-1]
    return any("label" in folder.lower() for folder in folders)


def _has_boxes(file: Path) -> bool:
    """Return whether the first line of a file that is not blank is a box or a polygon."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(65536).decode("utf-8", "replace").splitlines()
    except OSError:
        return False
    words = next(filter(None, map(str.split, lines)), [])
    return len(words) >= 5 and all(number(word) == number(word) for word in words[1:5])
