"""Regions that look the same in all images, such as a logo, a date or the frame of a device."""

from collections.abc import Iterator, Sequence

import numpy as np

from headstart.arrays import Flags, Numbers

MIN_IMAGES = 20
"""Regions of fewer images are not compared."""

# Grey levels by which a pixel may vary between images, in standard deviations.
_STEADY = 3.0
_MIN_PIXELS = 6
# With a larger steady part, the images are simply alike, such as photos of one scene.
_MAX_SHARE = 0.5
# Grey levels within the region: a border of one colour is no watermark.
_MIN_CONTRAST = 10.0


class Steadiness:
    """Accumulates mean and variance of each pixel of a grid, for several classes at once.

    Args:
        classes: Number of classes.
        side: Side of the grid, in pixels.
    """

    def __init__(self, classes: int, side: int) -> None:
        self.counts = np.zeros(classes + 1, dtype=np.int64)  # The last one is of all images.
        self._sums = np.zeros((2, classes + 1, side, side))

    def add(self, grid: Numbers, classes: Sequence[int]) -> None:
        """Add the grey levels of an image, (side, side), to the classes that it belongs to."""
        for number in (*classes, -1):
            self.counts[number] += 1
            self._sums[0, number] += grid
            self._sums[1, number] += grid**2

    def regions(self) -> Iterator[tuple[int | None, float, str]]:
        """Yield where pixels are steady: the class, the share of the picture, and the place.

        None stands for all classes. What is steady in all images is not repeated for each class.
        """
        everywhere = np.zeros(self._sums.shape[2:], dtype=np.bool_)
        if self.counts[-1] >= MIN_IMAGES:
            everywhere = _steady(self.counts[-1], self._sums[:, -1])
            if place := _place(everywhere):
                yield None, float(everywhere.mean()), place
        for number in np.flatnonzero(self.counts[:-1] >= MIN_IMAGES).tolist():
            steady = _steady(self.counts[number], self._sums[:, number]) & ~everywhere
            if place := _place(steady):
                yield number, float(steady.mean()), place


def _steady(count: int, sums: Numbers) -> Flags:
    """Return the pixels that hardly vary, without those of the colour of most of them."""
    mean = sums[0] / count
    deviation = np.sqrt(np.maximum(sums[1] / count - mean**2, 0))
    steady = np.asarray(deviation <= _STEADY)
    if not steady.any():
        return steady
    usual = np.median(mean[steady])
    contrasting = steady & (np.abs(mean - usual) >= _MIN_CONTRAST)
    return contrasting if steady.mean() <= _MAX_SHARE else np.zeros_like(steady)


def _place(steady: Flags) -> str:
    """Return where the pixels are, such as "top left"; "" if there are too few."""
    rows, columns = np.nonzero(steady)
    if len(rows) < _MIN_PIXELS:
        return ""
    height, width = steady.shape
    vertical = ("top", "middle", "bottom")[min(2, int(3 * rows.mean() / height))]
    horizontal = ("left", "centre", "right")[min(2, int(3 * columns.mean() / width))]
    return f"{vertical} {horizontal}"
