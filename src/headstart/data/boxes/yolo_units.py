"""Whether the numbers of YOLO's label files are shares of the image, as they should be, or pixels.

Pixels are recognised when nearly every box has numbers far above 1. They may be a centre with width
and height, or two corners: they are read as the only one of both for which all boxes are in their
images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.data.boxes.image_sizes import read_sizes
from headstart.errors import DataError

# A box may leave the image, but hardly by half of it.
_BEYOND = 1.5
_MOST = 0.9
_TOLERANCE = 1.0

CENTRE, CORNERS = "the centre, width and height", "x1, y1, x2, y2"


@dataclass(frozen=True)
class Line:
    """A line of a label file.

    Attributes:
        row: Its number in the file, from 1.
        label: The name of its class.
        numbers: The four numbers of the box.
        is_outline: Whether these are the corners of a box around a polygon.
    """

    row: int
    label: str
    numbers: tuple[float, ...]
    is_outline: bool = False

    def corners(self, *, centred: bool = True) -> tuple[float, float, float, float]:
        """Return x1, y1, x2, y2 of the box.

        Args:
            centred: Whether the numbers are its centre, width and height.
        """
        first, second, third, fourth = self.numbers
        if self.is_outline or not centred:
            return first, second, third, fourth
        return first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2


def is_beyond(line: Line) -> bool:
    """Return whether a line has a number that is not a share of the image."""
    return max(map(abs, line.numbers)) > _BEYOND


def mostly_beyond(files: Iterable[Sequence[Line]]) -> bool:
    """Return whether nearly all boxes have numbers that are not shares of the image."""
    beyond = [is_beyond(line) for lines in files for line in lines]
    return bool(beyond) and sum(beyond) >= _MOST * len(beyond)


def corners_in_pixels(lines: Mapping[Path, Sequence[Line]], name_of: Callable[[Path], str]) -> str:
    """Return what the numbers of boxes in pixels are: `CENTRE` or `CORNERS`.

    Raises:
        DataError: Boxes may be either, or are neither.
    """
    sizes = zip(lines, read_sizes([str(image) for image in lines]), strict=True)
    boxes = [
        (line, size.seen) for image, size in sizes if size is not None for line in lines[image]
    ]
    fitting = [
        how
        for how in (CENTRE, CORNERS)
        if all(_fits(line.corners(centred=how == CENTRE), size) for line, size in boxes)
    ]
    if len(fitting) != 1 or not boxes:
        image, found = next(iter(lines.items()))
        raise DataError(
            f"The numbers in YOLO's label files must be shares of the image, 0 to 1, but those of "
            f"'{name_of(image)}' begin with {', '.join(f'{one:g}' for one in found[0].numbers)}. "
            "If they are pixels, it is unclear whether they are a centre with width and height, or "
            "two corners. Divide them by the width and height of the image."
        )
    return fitting[0]


def _fits(corners: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = corners
    inside = min(x1, y1) >= -_TOLERANCE and x2 <= size[0] + _TOLERANCE
    return inside and y2 <= size[1] + _TOLERANCE and x1 < x2 and y1 < y2
