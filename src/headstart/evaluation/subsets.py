"""Two models compared on parts of the same images: each class, and each value of a column."""

from collections.abc import Mapping
from dataclasses import replace

from headstart.arrays import Flags, Rows
from headstart.evaluation.paired import compare
from headstart.evaluation.slices import holm
from headstart.evaluation.weighted_metrics import Rate
from headstart.record.comparison import SubsetDifference

MAX_SUBSETS = 200
"""Only so many parts are compared, the largest ones."""


def compare_subsets(
    first: Flags,
    second: Flags,
    members: Mapping[tuple[str, str], Flags],
    groups: Rows | None = None,
) -> tuple[SubsetDifference, ...]:
    """Compare the shares of images that are predicted correctly, in each part.

    Args:
        first: Which images the first model predicts correctly, (images,).
        second: The same for the second model.
        members: Which images belong to a part, by its column and value.
        groups: The number of each image's group, (images,); None if images are independent.

    Returns:
        The parts with images, those with the smallest p-value first. P-values are corrected for
        the number of parts (Holm, 1979).
    """
    sizes = {part: int(member.sum()) for part, member in members.items() if member.any()}
    largest = sorted(sizes, key=lambda part: (-sizes[part], part))[:MAX_SUBSETS]
    found = {}
    for part in largest:
        one = compare(Rate(first, members[part]), Rate(second, members[part]), groups)
        assert one.first is not None and one.second is not None  # There are images.
        found[part] = SubsetDifference(*part, sizes[part], one.first, one.second, one.ci95, one.p)
    adjusted = holm({part: one.p for part, one in found.items() if one.p is not None})
    corrected = [replace(one, p=adjusted.get(part)) for part, one in found.items()]
    return tuple(sorted(corrected, key=lambda one: 2.0 if one.p is None else one.p))
