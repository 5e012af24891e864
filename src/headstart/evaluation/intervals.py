"""95 % intervals of shares, and of the difference of two shares of the same images."""

from math import sqrt

from headstart.arrays import Flags
from headstart.record import Interval

_Z95 = 1.959963984540054


def wilson(correct: int, images: int) -> Interval:
    """Return the score interval of a share (Wilson, 1927); (0, 1) for no images.

    In closed form: `scipy.stats.binomtest`, which gives the same, tests a hypothesis first and
    takes over a millisecond, and there is one interval for each class.
    """
    if images == 0:
        return 0.0, 1.0
    share, z2 = correct / images, _Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = _Z95 * sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    low = 0.0 if correct == 0 else centre - half
    return low, 1.0 if correct == images else centre + half


def difference(one: Flags, other: Flags) -> Interval:
    """Return the interval of the difference of two accuracies on the same images.

    The images being the same, only those count that exactly one of both predicts correctly: the
    normal interval for paired proportions (Agresti and Min, 2005), with half an image added to
    each side.

    Args:
        one: Which images the first model predicts correctly, shape (images,).
        other: Likewise, the second model.
    """
    images = len(one)
    gained, lost = int((one & ~other).sum()) + 0.5, int((~one & other).sum()) + 0.5
    centre = (gained - lost) / images
    half = _Z95 * sqrt(gained + lost - (gained - lost) ** 2 / images) / images
    return centre - half, centre + half
