"""The eight turns and mirror images of a square, for photos without an upright side."""

import torch
from torch import Tensor

from headstart.options import OrientationsOption

# Bits of a number: 1 mirrors left and right, 2 turns upside down, 4 swaps rows and columns.
_NUMBERS: dict[str, tuple[int, ...]] = {"one": (0,), "mirror": (0, 1), "dihedral": tuple(range(8))}


def count_of(orientations: OrientationsOption) -> int:
    """Return how many images are seen instead of one."""
    return len(_NUMBERS[orientations])


def oriented(images: Tensor, number: int) -> Tensor:
    """Return images in one of the eight orientations; 0 is as they are, 1 mirrored.

    Args:
        images: Shape (..., size, size, channels).
        number: 0 to 7.
    """
    if number & 4:
        images = images.transpose(-3, -2)
    turned = [axis for axis, bit in ((-3, 2), (-2, 1)) if number & bit]
    return images.flip(turned) if turned else images


def in_all(images: Tensor, orientations: OrientationsOption) -> Tensor:
    """Return a batch in one orientation after the other, shape (count * batch, ...)."""
    numbers = _NUMBERS[orientations]
    return torch.cat([oriented(images, number) for number in numbers]) if numbers[1:] else images


def averaged(features: Tensor, orientations: OrientationsOption) -> Tensor:
    """Average what `in_all` led to, shape (count * batch, width), over the orientations."""
    count = count_of(orientations)
    return features.view(count, -1, features.shape[1]).mean(dim=0) if count > 1 else features
