"""Heat maps on the pictures that they explain."""

import numpy as np
from PIL import Image

from headstart.arrays import Floats
from headstart.data.preprocessing import Preprocess

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of an image."""

# From weak to strong, distinguishable with any colour vision (Okabe and Ito, 2008): what
# supports the class is vermilion to yellow, what speaks against it is blue.
_SUPPORTING = np.array([(213, 94, 0), (255, 225, 40)], dtype=np.float32)
_OPPOSING = np.array([(30, 110, 190), (120, 200, 255)], dtype=np.float32)

# Share of the heat's colour where it is strongest. More would hide the picture.
_OPACITY = 0.75

# A few cells can be much stronger than all others, so this share of cells has colours below full.
_BELOW_FULL = 0.99


def overlay(image: Image.Image, heat: Floats, preprocess: Preprocess) -> Image.Image:
    """Draw a heat map on the image as the user sees it.

    Parts that support the class are vermilion, and yellow where they are strongest; parts that
    speak against it are blue. The strongest cells have the full colour, so that the colours of
    different images cannot be compared. The picture is grey under the colours. Parts that the
    network does not see keep their own colours.

    Args:
        image: An RGB image, before preprocessing.
        heat: The heat map of the preprocessed image, (height, width), see `heat_maps`.
        preprocess: The preprocessing of the image.

    Returns:
        An RGB image of the same size.
    """
    strength = _strength(heat)
    covered = _covered(image.size, preprocess)
    seen = _intersection(covered, image.size)
    region = image.crop(seen)
    coloured = _coloured(region, _resized(strength, covered, seen))
    result = image.copy()
    result.paste(coloured, seen[:2])
    return result


def _strength(heat: Floats) -> Floats:
    """Return the heat in -1 to 1; a map without any heat stays 0."""
    full = float(np.quantile(np.abs(heat), _BELOW_FULL)) or float(np.abs(heat).max()) or 1.0
    return np.asarray((heat / full).clip(-1, 1), dtype=np.float32)


def _covered(size: tuple[int, int], preprocess: Preprocess) -> Box:
    """Return the part of an image that the network's square input shows.

    It is larger than the image if the image was padded, and smaller if it was cropped.
    """
    width, height = size
    if preprocess.resize == "squash":
        return 0, 0, width, height
    if preprocess.resize == "pad":
        side: float = max(size)
    else:
        side = preprocess.size / preprocess.min_side * min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _intersection(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the part of a box that is within an image, in whole pixels."""
    left, top, right, bottom = box
    return (
        max(0, round(left)),
        max(0, round(top)),
        min(size[0], round(right)),
        min(size[1], round(bottom)),
    )


def _resized(strength: Floats, covered: Box, seen: tuple[int, int, int, int]) -> Floats:
    """Return the strength at each pixel of the part that is seen."""
    height, width = strength.shape
    x, y = width / (covered[2] - covered[0]), height / (covered[3] - covered[1])
    box = (
        max(0.0, (seen[0] - covered[0]) * x),
        max(0.0, (seen[1] - covered[1]) * y),
        min(float(width), (seen[2] - covered[0]) * x),
        min(float(height), (seen[3] - covered[1]) * y),
    )
    size = seen[2] - seen[0], seen[3] - seen[1]
    resized = Image.fromarray(strength).resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized).clip(-1, 1)


def _coloured(image: Image.Image, strength: Floats) -> Image.Image:
    """Blend a picture in grey with the colours of the strength at each pixel."""
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32)
    strong = np.abs(strength)[..., np.newaxis]
    supports = strength[..., np.newaxis] > 0
    colours = np.where(supports, _between(_SUPPORTING, strong), _between(_OPPOSING, strong))
    # Smoothstep: weak heat, which is mostly noise, stays in the background.
    opacity = _OPACITY * strong**2 * (3 - 2 * strong)
    return Image.fromarray((grey + (colours - grey) * opacity).round().astype(np.uint8))


def _between(ends: Floats, share: Floats) -> Floats:
    return np.asarray(ends[0] + (ends[1] - ends[0]) * share)
