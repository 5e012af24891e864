"""Augmentation: other views of the same image, the same ones for the same seed."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

from headstart.data.orientations import oriented
from headstart.options import AugmentOption

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def augmented(pixels: Pixels, preset: AugmentOption, seed: int) -> Pixels:
    """Give a view of an image, with a preset whose views are drawn.

    Args:
        pixels: Shape (size, size, 3).
        preset: "standard", random crop, mirror and colour; "strong", crops, mirror and
            RandAugment (Cubuk et al., 2020).
        seed: The same seed gives the same view.
    """
    image = torch.tensor(pixels).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        view = _transform(preset, pixels.shape[0])(image)
    return np.ascontiguousarray(view.permute(1, 2, 0).numpy())


def turned(pixels: Pixels, number: int) -> Pixels:
    """Give an image of shape (size, size, 3) in one of the eight orientations, 0 to 7."""
    return np.ascontiguousarray(oriented(torch.tensor(pixels), number).numpy())


@cache
def _transform(preset: AugmentOption, size: int) -> Any:  # noqa: ANN401
    mirror = v2.RandomHorizontalFlip()
    if preset == "standard":
        crop = v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True)
        return v2.Compose([crop, mirror, v2.ColorJitter(0.2, 0.2, 0.2)])
    crop = v2.RandomResizedCrop(size, scale=(0.35, 1.0), antialias=True)
    return v2.Compose([crop, mirror, v2.RandAugment()])
