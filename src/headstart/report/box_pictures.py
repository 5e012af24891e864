"""Pictures with true and predicted boxes, drawn as vector graphics on top of small JPEGs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from headstart.arrays import Corners, Pixels
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.coco_files import Size
from headstart.evaluation.boxes.error_kinds import ImageErrors, find_errors
from headstart.record import ErrorKind, MissingBox
from headstart.report.data_uri import data_uri
from headstart.report.thumbnails import as_jpeg

SIDE = 480
"""The longer side of a picture, in pixels."""

CROP_SIDE = 200
"""The longer side of a crop, in pixels."""

MAX_CROPS = 12
"""The most crops of missed boxes, and of false alarms."""

MAX_NAMED = 20
"""With more predicted boxes, their labels would cover the picture; they have only tooltips."""

KIND_NAMES: dict[ErrorKind, str] = {
    "class": "wrong class",
    "localisation": "badly located",
    "both": "wrong class and badly located",
    "duplicate": "duplicate",
    "background": "background",
    "missed": "missed",
}
"""The kinds of errors in words."""

# What several errors of a kind are called, if not the same, where they are counted.
_COUNTED: dict[ErrorKind, str] = {
    "class": "of a wrong class",
    "both": "of a wrong class and badly located",
    "duplicate": "duplicates",
    "background": "on the background",
}

# A crop shows a box with this margin on each side, as a share of its longer side.
_MARGIN = 0.4
_SMALLEST_CROP = 40.0
# A picture is shown in a frame of this shape, which has room for so many letters.
_FRAME = 4 / 3
_LETTERS = 25
_LETTER_WIDTH = 0.66


Part = tuple[float, float, float, float]
"""A part of an image: x, y, width and height in pixels."""


@dataclass(frozen=True, eq=False)
class BoxesPicture:
    """An image with its true boxes and the detections in it.

    Attributes:
        name: Its name.
        image: Its pixels, (height, width, 3), or the image as the bytes of a file; it may be
            smaller than the image itself.
        truth: The true boxes.
        detections: The detections, the most probable first; those below the thresholds are not
            shown.
        size: The width and height of the image itself, in whose pixels boxes are; None if `image`
            has that size.
    """

    name: str
    image: Pixels | bytes
    truth: Boxes
    detections: Detections
    size: Size | None = None


@dataclass(frozen=True)
class DrawnBox:
    """A box of a drawing, in pixels of the image.

    Attributes:
        x: The left edge.
        y: The top edge.
        width: The width.
        height: The height.
        kind: "true" or "predicted".
        wrong: Whether it is a missed box or a false alarm.
        title: What the box is, as a tooltip.
    """

    x: float
    y: float
    width: float
    height: float
    kind: Literal["true", "predicted"]
    wrong: bool
    title: str


@dataclass(frozen=True)
class Label:
    """The text beside a box: its left end and its base line, in pixels of the image."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """An image, or a part of it, with boxes.

    Attributes:
        source: The picture as a `data:` URI.
        x: The left edge of the part, in pixels of the image.
        y: Its top edge.
        width: Its width.
        height: Its height.
        boxes: The boxes, the largest first, so that small ones are on top.
        described: What can be seen, for those who cannot see it.
        labels: The labels of predicted boxes.
        letters: The size of their letters, in pixels of the image.
    """

    source: str
    x: float
    y: float
    width: float
    height: float
    boxes: tuple[DrawnBox, ...]
    described: str
    labels: tuple[Label, ...] = ()
    letters: float = 0.0


@dataclass(frozen=True)
class ShownBoxes:
    """A drawing with what is said about it.

    Attributes:
        image: The name of the image.
        drawing: The drawing.
        facts: Terms with their values.
    """

    image: str
    drawing: Drawing
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BoxCrops:
    """Crops of errors, or of boxes that may be missing in the labels.

    Attributes:
        shown: The crops.
        more: The number of others that are not shown.
    """

    shown: tuple[ShownBoxes, ...]
    more: int


NO_CROPS = BoxCrops((), 0)
"""No crops."""


class AnalysedPicture:
    """A picture with its errors at the operating point, from which drawings are made."""

    def __init__(
        self, picture: BoxesPicture, classes: Sequence[str], thresholds: Sequence[float]
    ) -> None:
        self._picture, self._classes = picture, classes
        self._found = picture.detections.above(np.array(thresholds, np.float64))
        self.errors: ImageErrors = find_errors(picture.truth, self._found)
        self._image = _opened(picture.image)
        self._size = picture.size or self._image.size

    @property
    def wrong(self) -> int:
        """The number of false alarms and missed boxes."""
        return self.errors.matches.errors

    def whole(self) -> ShownBoxes:
        """Return the image with all boxes."""
        width, height = self._size
        predicted = tuple(self._predicted_boxes())
        part = (0.0, 0.0, float(width), float(height))
        drawing = self._drawing(part, (*self._true_boxes(), *predicted), SIDE, self._description())
        letters = max(width, height * _FRAME) / _LETTERS
        named = len(predicted) <= MAX_NAMED
        labels = tuple(self._labels(predicted, letters)) if named else ()
        drawing = replace(drawing, labels=labels, letters=letters)
        return ShownBoxes(self._picture.name, drawing, tuple(self._facts()))

    def false_alarms(self) -> Iterator[tuple[float, ShownBoxes]]:
        """Yield the probability and a crop of each wrong detection."""
        for number in np.flatnonzero(self.errors.matches.wrong).tolist():
            kind = self.errors.kinds[number] or "background"
            score = float(self._found.scores[number])
            label = self._class_of(self._found, number)
            yield (
                score,
                self._crop(
                    self._found.corners[number],
                    self._predicted_box(number),
                    f"Predicted {label}, {score:.0%}: {KIND_NAMES[kind]}, in {self._picture.name}",
                    (
                        ("Predicted", f"{label}, {score:.0%}"),
                        ("Error", KIND_NAMES[kind]),
                    ),
                ),
            )

    def misses(self) -> Iterator[tuple[float, ShownBoxes]]:
        """Yield the area and a crop of each true box that is not found."""
        truth = self._picture.truth
        for number in np.flatnonzero(self.errors.matches.missed).tolist():
            x1, y1, x2, y2 = truth.corners[number].tolist()
            label = self._class_of(truth, number)
            yield (
                (x2 - x1) * (y2 - y1),
                self._crop(
                    truth.corners[number],
                    self._true_box(number),
                    f"True {label} that was not found, in {self._picture.name}",
                    (
                        ("True", label),
                        ("Size", f"{x2 - x1:.0f} x {y2 - y1:.0f} pixels"),
                        *self._attempt(number),
                    ),
                ),
            )

    def _attempt(self, number: int) -> Iterator[tuple[str, str]]:
        """Yield what the most probable wrong detection of a true box is, if there is one."""
        meant = np.flatnonzero(self.errors.target == number)
        if len(meant):
            first = int(meant[0])
            kind = self.errors.kinds[first] or "background"
            label, score = self._class_of(self._found, first), self._found.scores[first]
            yield "Instead", f"{label}, {score:.0%}, {KIND_NAMES[kind]}"

    def _class_of(self, boxes: Boxes | Detections, number: int) -> str:
        return self._classes[int(boxes.classes[number])]

    def _facts(self) -> Iterator[tuple[str, str]]:
        matches = self.errors.matches
        true, right = int((~self._picture.truth.crowd).sum()), int(matches.right.sum())
        yield "Found", f"{right:,} of {true:,}"
        kinds = [kind for kind in self.errors.kinds if kind]
        counts = {kind: kinds.count(kind) for kind in KIND_NAMES if kind in kinds}
        if counts:
            yield (
                "False alarms",
                ", ".join(f"{count:,} {_counted(kind, count)}" for kind, count in counts.items()),
            )

    def _description(self) -> str:
        facts = "; ".join(f"{term.lower()}: {value}" for term, value in self._facts())
        return f"{self._picture.name} with true and predicted boxes; {facts}"

    def _true_boxes(self) -> Iterator[DrawnBox]:
        return map(self._true_box, range(len(self._picture.truth)))

    def _predicted_boxes(self) -> Iterator[DrawnBox]:
        return map(self._predicted_box, range(len(self._found)))

    def _true_box(self, number: int) -> DrawnBox:
        truth, missed = self._picture.truth, bool(self.errors.matches.missed[number])
        state = "a crowd" if truth.crowd[number] else "missed" if missed else "found"
        title = f"True: {self._class_of(truth, number)}, {state}"
        return DrawnBox(*_placed(truth.corners[number]), "true", missed, title)

    def _predicted_box(self, number: int) -> DrawnBox:
        kind = self.errors.kinds[number]
        right = "in a crowd" if self.errors.matches.ignored[number] else "right"
        title = f"Predicted: {self._named(number)}, {KIND_NAMES[kind] if kind else right}"
        placed = _placed(self._found.corners[number])
        return DrawnBox(*placed, "predicted", kind is not None, title)

    def _named(self, number: int) -> str:
        return f"{self._class_of(self._found, number)} {self._found.scores[number]:.0%}"

    def _labels(self, boxes: Sequence[DrawnBox], letters: float) -> Iterator[Label]:
        """Yield the label of each predicted box that has room for it, the most probable first."""
        taken: list[Part] = []
        for number, box in enumerate(boxes):
            text = self._named(number)
            wide = letters * _LETTER_WIDTH * len(text)
            x = max(min(box.x, self._size[0] - wide), 0.0)
            above, below = box.y - 0.3 * letters, box.y + box.height + letters
            inside = box.y + 1.05 * letters
            for y in (above, below, inside):
                place = (x, y - letters, wide, 1.2 * letters)
                fits = y >= letters and y <= self._size[1] - 0.2 * letters
                if fits and not any(_meet(place, other) for other in taken):
                    taken.append(place)
                    yield Label(text, x, y)
                    break

    def _crop(
        self,
        corners: Corners,
        focus: DrawnBox,
        described: str,
        facts: tuple[tuple[str, str], ...],
    ) -> ShownBoxes:
        """Return the surroundings of a box, with the boxes of the other kind there."""
        part = _surroundings(corners, self._size)
        others = self._true_boxes() if focus.kind == "predicted" else self._predicted_boxes()
        near = [box for box in others if _meet((box.x, box.y, box.width, box.height), part)]
        drawing = self._drawing(part, (*near, focus), CROP_SIDE, described)
        return ShownBoxes(self._picture.name, drawing, facts)

    def _drawing(
        self,
        part: Part,
        boxes: Sequence[DrawnBox],
        side: int,
        described: str,
    ) -> Drawing:
        x, y, width, height = part
        across = self._image.width / self._size[0]
        down = self._image.height / self._size[1]
        region = (x * across, y * down, (x + width) * across, (y + height) * down)
        scale = min(1.0, side / max(region[2] - region[0], region[3] - region[1]))
        pixels = (
            max(1, round((region[2] - region[0]) * scale)),
            max(1, round((region[3] - region[1]) * scale)),
        )
        small = self._image.resize(pixels, Image.Resampling.BICUBIC, box=region, reducing_gap=2)
        largest_first = sorted(boxes, key=lambda box: -box.width * box.height)
        source = data_uri(as_jpeg(small))
        return Drawing(source, x, y, width, height, tuple(largest_first), described)


def false_alarm_crops(pictures: Sequence[AnalysedPicture]) -> BoxCrops:
    """Return the most probable wrong detections."""
    return _highest([one for picture in pictures for one in picture.false_alarms()])


def missed_crops(pictures: Sequence[AnalysedPicture]) -> BoxCrops:
    """Return the largest true boxes that are not found."""
    return _highest([one for picture in pictures for one in picture.misses()])


def missing_crop(
    missing: MissingBox,
    image: Pixels | bytes,
    truth: Boxes,
    classes: Sequence[str],
    size: Size | None,
) -> ShownBoxes:
    """Return a crop of a box that is probably missing in the labels.

    Args:
        missing: The box.
        image: The image, see `BoxesPicture`.
        truth: The boxes that are labelled.
        classes: The names of the classes.
        size: The width and height of the image itself, see `BoxesPicture`.
    """
    found = Detections(
        np.array([missing.box], np.float32),
        np.array([classes.index(missing.label)]),
        np.array([missing.probability]),
    )
    picture = BoxesPicture(missing.image, image, truth, found, size)
    ((_, shown),) = AnalysedPicture(picture, classes, [0.0] * len(classes)).false_alarms()
    named = f"{missing.label}, {missing.probability:.0%}"
    drawing = replace(
        shown.drawing,
        described=f"{named}, found where nothing is labelled, in {missing.image}",
        boxes=tuple(_plainly_titled(box) for box in shown.drawing.boxes),
    )
    return replace(shown, drawing=drawing, facts=(("Found", named), ("Part", missing.part)))


def _counted(kind: ErrorKind, count: int) -> str:
    """Return what so many errors of a kind are."""
    if kind == "duplicate" and count == 1:
        return KIND_NAMES[kind]
    return _COUNTED.get(kind, KIND_NAMES[kind])


def _plainly_titled(box: DrawnBox) -> DrawnBox:
    """Return a box whose tooltip does not say whether it is an error."""
    return replace(box, wrong=False, title=box.title.rpartition(", ")[0])


def _highest(crops: list[tuple[float, ShownBoxes]]) -> BoxCrops:
    ranked = sorted(crops, key=lambda one: -one[0])
    return BoxCrops(tuple(crop for _, crop in ranked[:MAX_CROPS]), len(ranked[MAX_CROPS:]))


def _opened(image: Pixels | bytes) -> Image.Image:
    if isinstance(image, bytes):
        return Image.open(io.BytesIO(image)).convert("RGB")
    return Image.fromarray(image)


def _placed(corners: Corners) -> Part:
    """Return x, y, width and height of a box."""
    x1, y1, x2, y2 = corners.tolist()
    return x1, y1, x2 - x1, y2 - y1


def _surroundings(corners: Corners, size: Size) -> Part:
    """Return x, y, width and height of a square around a box, inside the image."""
    x, y, width, height = _placed(corners)
    side = max((1 + 2 * _MARGIN) * max(width, height), _SMALLEST_CROP)
    wide, high = min(side, size[0]), min(side, size[1])
    left = min(max(x + width / 2 - wide / 2, 0.0), size[0] - wide)
    top = min(max(y + height / 2 - high / 2, 0.0), size[1] - high)
    return left, top, wide, high


def _meet(first: Part, second: Part) -> bool:
    """Return whether two parts of an image overlap."""
    (x, y, width, height), (left, top, wide, high) = first, second
    return max(x, left) < min(x + width, left + wide) and max(y, top) < min(y + height, top + high)
