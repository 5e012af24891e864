"""Images that are unusual: blurred, dark, bright, empty, or of another size, shape or mode.

What many images have in common is not unusual, but a property of the data.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from headstart.arrays import Numbers
from headstart.data.images import ImageSet
from headstart.data.traits import Traits
from headstart.record.data_check import Oddity, OddityKind

# At 256 pixels, 8 of 2,624 solar cells are above it, 1 of 5,421 groceries, and none of 396 insects
# and 253 brain scans. Blurred with a standard deviation of 4 pixels, all cells and groceries are,
# and most of the others, some of which are shrunk to half their size before they are measured.
_BLURRED = 0.65
_SMALLEST_FOR_BLUR = 64
_DARK, _BRIGHT, _EMPTY = 20.0, 235.0, 4.0
_BORDER = 0.1
# Times as small in pixels, or as long, as the median image.
_SIZE, _SHAPE = 9.0, 2.5
_USUAL = 0.2


def find_oddities(images: ImageSet, traits: Sequence[Traits | None]) -> tuple[Oddity, ...]:
    """Find the unusual images of a set.

    Args:
        images: The images.
        traits: The traits of each; None where they could not be read.
    """
    names = images.names
    found = []
    for kind, amounts in _amounts(images, traits):
        rows = np.flatnonzero(amounts > 0)
        if len(rows):
            order = rows[np.argsort(-amounts[rows], kind="stable")]
            usual = len(rows) > max(1, _USUAL * len(names))
            found.append(Oddity(kind, tuple(names[row] for row in order), usual))
    return tuple(found)


def _amounts(
    images: ImageSet, traits: Sequence[Traits | None]
) -> Iterator[tuple[OddityKind, Numbers]]:
    """Yield how much each image exceeds the limit of each kind, (images,); NaN or less if not."""
    widths = np.array(images.table["width"].to_pylist(), dtype=np.float64)
    heights = np.array(images.table["height"].to_pylist(), dtype=np.float64)
    large = np.minimum(widths, heights) >= _SMALLEST_FOR_BLUR
    empty = _values(traits, "contrast") < _EMPTY
    yield "empty", np.where(empty, _EMPTY - _values(traits, "contrast"), 0)
    yield "dark", np.where(empty, 0, _DARK - _values(traits, "brightness"))
    yield "bright", np.where(empty, 0, _values(traits, "brightness") - _BRIGHT)
    yield "blurred", np.where(large & ~empty, _values(traits, "blur") - _BLURRED, 0)
    yield "border", np.where(empty, 0, _values(traits, "border") - _BORDER)
    areas, shapes = widths * heights, np.log(widths / heights)
    yield "size", np.median(areas) / areas - _SIZE
    yield "shape", np.abs(shapes - np.median(shapes)) - np.log(_SHAPE)
    yield "mode", _rarity(images.table["mode"].to_pylist())


def _values(traits: Sequence[Traits | None], name: str) -> Numbers:
    return np.array([np.nan if one is None else getattr(one, name) for one in traits])


def _rarity(values: Sequence[str]) -> Numbers:
    """Return 1 for values other than the most frequent one if they are rare, else 0."""
    counts = Counter(values)
    common = counts.most_common(1)[0][0]
    rare = len(values) - counts[common] <= _USUAL * len(values)
    return np.array([float(rare and value != common) for value in values])
