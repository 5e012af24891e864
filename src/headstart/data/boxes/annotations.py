"""What every reader of boxes returns: images with boxes, as their annotations have them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.tally import Tally


@dataclass(frozen=True)
class BoxedImage:
    """An image as its annotation describes it, before its file is opened.

    Attributes:
        image: Its name: the path within the data.
        path: The path of its file.
        boxes: Its boxes, in the coordinates of the annotation.
        size: The width and height that the annotation says it has; None if it does not say.
        in_shares: Whether coordinates are shares of the width and height, 0 to 1, not pixels.
        split: "train", "val" or "test", if the source has a split.
        group: The user's own group, if any.
        rejected: Why it cannot be used, if it cannot.
        slices: See `manifest.Entry`.
        guessed_group: See `manifest.Entry`.
    """

    image: str
    path: str
    boxes: Sequence[LabelledBox] = ()
    size: tuple[float, float] | None = None
    in_shares: bool = False
    split: str | None = None
    group: str | None = None
    rejected: str | None = None
    slices: str | None = None
    guessed_group: str | None = None


@dataclass(frozen=True)
class BoxSet:
    """The images of a source with boxes.

    Attributes:
        images: In a fixed order.
        where: What the boxes were taken from, such as "COCO's 'instances.json'".
        annotated: The number of images that the annotations name.
        understood: Sentences that say how it was read.
        warnings: Sentences that say what was left out, and what may be a mistake.
        guessed_group: The column of `BoxedImage.guessed_group`; None without one.
        if_leaving: What to ask if many boxes leave their images.
        if_backward: What to ask if many boxes end before they begin.
    """

    images: Sequence[BoxedImage]
    where: str
    annotated: int
    understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    guessed_group: str | None = None
    if_leaving: str = "are they for images of another size?"
    if_backward: str = "are the corners in the order x1, y1, x2, y2?"


def merged_by_file(images: Sequence[BoxedImage], tally: Tally) -> list[BoxedImage]:
    """Join the boxes of images that are the same file."""
    merged: dict[str, BoxedImage] = {}
    for image in images:
        first = merged.setdefault(image.path, image)
        if first is not image:
            tally.add("Images with several annotations, whose boxes are joined", image.image)
            merged[image.path] = joined(first, image)
    return list(merged.values())


def joined(first: BoxedImage, second: BoxedImage) -> BoxedImage:
    """Return an image with the boxes of two annotations of it.

    If they are for different sizes or in different parts of a split, it is rejected.
    """
    problem = first.rejected or second.rejected
    if first.split and second.split and first.split != second.split:
        problem = problem or f"it is both in {first.split} and in {second.split}"
    if first.size and second.size and first.size != second.size:
        problem = problem or "its annotations are for images of different sizes"
    return replace(
        first,
        boxes=(*first.boxes, *second.boxes),
        size=first.size or second.size,
        split=first.split or second.split,
        rejected=problem,
    )


def without_lone_part(images: Sequence[BoxedImage]) -> list[BoxedImage]:
    """Remove a split that has only one part: the data is that part, which is not a split."""
    if len({image.split for image in images if image.split}) > 1:
        return list(images)
    return [replace(image, split=None) for image in images]
