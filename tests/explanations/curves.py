"""Deletion and insertion curves (Petsiuk et al., RISE, 2018)."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

from headstart.arrays import Floats, Pixels
from headstart.predictor.predictor import Predictor

_STEPS = 14


def areas(predictor: Predictor, pixels: Pixels, heat: Floats, target: int) -> tuple[float, float]:
    """Return the areas under the deletion and the insertion curve of one image, both 0 to 1.

    The cells of a map are deleted, or inserted into a blurred image, the hottest first. The area is
    the mean probability of the class. A good map has a small area of deletion and a large one of
    insertion.
    """
    grey = np.full_like(pixels, pixels.mean(axis=(0, 1)).round())
    blur = ImageFilter.GaussianBlur(pixels.shape[0] / 16)
    blurred = np.asarray(Image.fromarray(pixels).filter(blur))
    images = [*_replaced(pixels, grey, heat), *_replaced(blurred, pixels, heat)]
    features = np.concatenate(list(predictor.extractor.of_pixels(images)))
    probabilities = predictor.probabilities(features)[:, target]
    deletion, insertion = probabilities.reshape(2, -1).mean(axis=1)
    return float(deletion), float(insertion)


def _replaced(before: Pixels, after: Pixels, heat: Floats) -> Iterator[Pixels]:
    """Yield an image with no cell replaced, then more of the hottest ones, until all are."""
    ranks = np.empty(heat.size, dtype=np.int64)
    ranks[np.argsort(-heat, axis=None)] = np.arange(heat.size)
    size, (height, width) = len(before), heat.shape
    rows, columns = np.arange(size) * height // size, np.arange(size) * width // size
    of_pixel = ranks.reshape(heat.shape)[rows[:, None], columns]
    for step in range(_STEPS + 1):
        hot = of_pixel < heat.size * step / _STEPS
        yield np.where(hot[..., None], after, before)
