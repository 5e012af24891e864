"""The eight rotations and reflections of a square, for photos without an upright side."""

import torch
from torch import Tensor

from headstart.options import OrientationsOption

# Bits of a number: 1 flips left and right, 2 flips top and bottom, 4 swaps rows and columns.
_NUMBERS: dict[str, tuple[int, ...]] = {"one": (0,), "mirror": (0, 1), "dihedral": tuple(range(8))}


def orientation_count(orientations: OrientationsOption) -> int:
    """Return the number of views of each image."""
    return len(_NUMBERS[orientations])


def orient(images: Tensor, number: int) -> Tensor:
    """Return images in one of the eight orientations: 0 is unchanged, 1 is mirrored.

    Args:
        images: Shape (..., size, size, channels).
        number: 0 to 7.
    """
    if number & 4:
        images = images.transpose(-3, -2)
    flipped = [axis for axis, bit in ((-3, 2), (-2, 1)) if number & bit]
    return images.flip(flipped) if flipped else images


def all_orientations(images: Tensor, orientations: OrientationsOption) -> Tensor:
    """Stack a batch in all orientations, one after the other, shape (count * batch, ...)."""
    numbers = _NUMBERS[orientations]
    return torch.cat([orient(images, number) for number in numbers]) if numbers[1:] else images


def average_orientations(features: Tensor, orientations: OrientationsOption) -> Tensor:
    """Average features of `all_orientations`, shape (count * batch, width), over orientations."""
    count = orientation_count(orientations)
    return features.view(count, -1, features.shape[1]).mean(dim=0) if count > 1 else features
