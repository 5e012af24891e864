"""Augmentation: other views of the same image, the same ones for the same seed."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from headstart.options import AugmentOption

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def augmented(pixels: Pixels, preset: AugmentOption, seed: int) -> Pixels:
    """Give a view of an image.

    Args:
        pixels: Shape (size, size, 3).
        preset: "none"; "flip", mirrored or not; "standard", random crop, mirror and colour;
            "dihedral", one of the 8 symmetries of the square, for images without an up (cells,
            tissue, satellite); "strong", crops, mirror and RandAugment (Cubuk et al., 2020).
        seed: The same seed gives the same view.
    """
    if preset == "none":
        return pixels
    image = torch.tensor(pixels).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        view = _transform(preset, pixels.shape[0])(image)
    return np.ascontiguousarray(view.permute(1, 2, 0).numpy())


@cache
def _transform(preset: AugmentOption, size: int) -> Any:  # noqa: ANN401
    mirror = v2.RandomHorizontalFlip()
    if preset == "flip":
        return mirror
    if preset == "dihedral":
        return _symmetry
    if preset == "standard":
        crop = v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True)
        return v2.Compose([crop, mirror, v2.ColorJitter(0.2, 0.2, 0.2)])
    crop = v2.RandomResizedCrop(size, scale=(0.35, 1.0), antialias=True)
    return v2.Compose([crop, mirror, v2.RandAugment()])


def _symmetry(image: Tensor) -> Tensor:
    number = int(torch.randint(8, ()))
    turned = torch.rot90(image, number % 4, (1, 2))
    return turned.flip(2) if number >= 4 else turned
