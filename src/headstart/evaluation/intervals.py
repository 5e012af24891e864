"""95% confidence intervals of an accuracy, and of the difference between two accuracies."""

from math import hypot, sqrt

from scipy.special import expit, logit

from headstart.arrays import Flags
from headstart.record import Interval

Z95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""


def wilson(correct: int, images: int) -> Interval:
    """Return the Wilson score interval of a proportion (Wilson, 1927); (0, 1) without images.

    Computed in closed form: `scipy.stats.binomtest` gives the same interval but also tests a
    hypothesis, which takes over a millisecond, and every class has an interval.
    """
    if images == 0:
        return 0.0, 1.0
    share, z2 = correct / images, Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = Z95 * sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    low = 0.0 if correct == 0 else centre - half
    return low, 1.0 if correct == images else centre + half


def logit_interval(value: float, error: float) -> Interval:
    """Return an interval that is symmetric on the logit scale, so that it stays within 0 and 1.

    Args:
        value: A metric, 0 to 1. At 0 and 1 there is no logit: the interval is then symmetric on
            the scale of the metric, and cut off at 0 and 1.
        error: Its standard error.
    """
    if value in (0, 1):
        return max(value - Z95 * error, 0.0), min(value + Z95 * error, 1.0)
    half = Z95 * error / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def difference(first: float, first_images: int, second: float, second_images: int) -> Interval:
    """Return the interval of a first accuracy minus a second one, on different images.

    It combines the Wilson intervals of both (Newcombe, 1998, method 10).

    Args:
        first: Share of the first images that were predicted correctly.
        first_images: Number of the first images.
        second: The same share of the second images.
        second_images: Number of the second images.
    """
    first_low, first_high = wilson(round(first * first_images), first_images)
    second_low, second_high = wilson(round(second * second_images), second_images)
    gain = first - second
    below, above = (
        (first - first_low, second_high - second),
        (first_high - first, second - second_low),
    )
    return gain - hypot(*below), gain + hypot(*above)


def paired_difference(first: Flags, second: Flags) -> Interval:
    """Return the interval of the difference between two accuracies on the same images.

    It depends on the number of images that only the first model predicts correctly, and on the
    number that only the second does. This is the normal interval for paired proportions, with 0.5
    added to both numbers (Agresti and Min, 2005).

    Args:
        first: Which images the first model predicts correctly, shape (images,).
        second: The same for the second model.
    """
    images = len(first)
    gained, lost = int((first & ~second).sum()) + 0.5, int((~first & second).sum()) + 0.5
    centre = (gained - lost) / images
    half = Z95 * sqrt(gained + lost - (gained - lost) ** 2 / images) / images
    return centre - half, centre + half
