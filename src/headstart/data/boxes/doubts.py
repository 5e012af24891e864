"""Signs that coordinates are not what they were taken for: another unit, or another order."""

from collections.abc import Iterator, Sequence

from headstart.data.boxes.annotations import BoxedImage, BoxSet
from headstart.data.boxes.geometry import BACKWARD, LEAVING, OUTSIDE
from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.boxes.labels import LabelledBox
from headstart.data.boxes.tally import Tally
from headstart.data.paths import list_names
from headstart.errors import DataError

ROUNDING = 0.01
"""By how much shares of an image may leave it, as they are rounded."""

_EXAMPLES = 3
# Fewer boxes say little about all.
_FEW = 4
# From these shares of all boxes on, a mistake in single boxes is unlikely.
_MANY, _SOME, _MOST = 0.2, 0.1, 0.5


def doubts_about_size(images: Sequence[BoxedImage]) -> Iterator[str]:
    """Yield a question if boxes are too small to have pixels, as those in shares of the image are.

    Raises:
        DataError: Most of them are.
    """
    usable = [one for one in images if not (one.rejected or one.in_shares)]
    tiny = {one.image: count for one in usable if (count := sum(map(_is_tiny, one.boxes)))}
    count, total = sum(tiny.values()), sum(len(one.boxes) for one in usable)
    if not count:
        return
    whose = f"smaller than one pixel ({list_names(list(tiny), _EXAMPLES)})"
    question = "shares of the image's width and height, 0 to 1?"
    if total >= _FEW and count > _MOST * total:
        image, value = _largest(usable)
        raise DataError(
            f"{count:,} of {total:,} boxes are {whose}. Are they {question} All coordinates must "
            f"be in the same unit, and '{image}' has {value:g}. Correct it, or convert the others "
            "to pixels."
        )
    yield f"{_boxes_are(count)} {whose}. {'Is it' if count == 1 else 'Are they'} {question}"


def doubts_about_place(images: Sequence[BoxedImage], found: BoxSet, tally: Tally) -> Iterator[str]:
    """Yield a question for each mistake that may be why many boxes are left out or clipped.

    Args:
        images: The images, with boxes in pixels before they were clipped.
        found: What a reader returned.
        tally: The counts of what was left out and clipped.

    Raises:
        DataError: Most boxes are not in their images.
    """
    total = sum(len(one.boxes) for one in images if not one.rejected)
    outside, leaving, backward = map(tally.total, (OUTSIDE, LEAVING, BACKWARD))
    if total >= _FEW and outside > _SOME * total and outside + leaving > _MOST * total:
        raise _not_in_pixels(images, outside, leaving, total)
    if leaving > _MANY * total:
        verb = "leaves" if leaving == 1 else "leave"
        yield f"{leaving:,} of {total:,} boxes {verb} the image: {found.if_leaving}"
    if backward > _MANY * total:
        verb = "has" if backward == 1 else "have"
        yield (
            f"{backward:,} of {total:,} boxes {verb} the right or lower edge before the other one: "
            f"{found.if_backward}"
        )


def _is_tiny(box: LabelledBox) -> bool:
    """Return whether a box is smaller than a pixel, or is in the first pixel of the image."""
    width, height = box.x2 - box.x1, box.y2 - box.y1
    inside = min(box.corners) >= -ROUNDING and max(box.corners) <= 1 + ROUNDING
    return width > 0 and height > 0 and (inside or max(width, height) < 1)


def _largest(images: Sequence[BoxedImage]) -> tuple[str, float]:
    """Return the image with the largest coordinate, and that coordinate."""
    values = [(max(box.corners), one.image) for one in images for box in one.boxes]
    value, image = max((one for one in values if one[0] == one[0]), key=lambda one: one[0])
    return image, value


def _not_in_pixels(
    images: Sequence[BoxedImage], outside: int, leaving: int, total: int
) -> DataError:
    usable = [one for one in images if not one.rejected]
    image, value = _largest(usable)
    path = next(one.path for one in usable if one.image == image)
    (size,) = read_sizes([path])
    pixels = f", which has {size.seen[0]} x {size.seen[1]} pixels" if size else ""
    also = f" and {leaving:,} {'leaves' if leaving == 1 else 'leave'} it" if leaving else ""
    return DataError(
        f"{outside:,} of {total:,} boxes are outside their image{also}: in which unit are they? "
        f"The largest coordinate is {value:g}, in '{image}'{pixels}. Convert them to pixels of the "
        "image, or to shares of its width and height, 0 to 1."
    )


def _boxes_are(count: int) -> str:
    return "1 box is" if count == 1 else f"{count:,} boxes are"
