"""Views of an image for training, deterministic for a given seed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from headstart.arrays import Pixels
from headstart.data.orientations import orient, orientation_count
from headstart.errors import OptionError
from headstart.options import AugmentOption, OrientationsOption, TuneOptions

_PRESETS: dict[str, AugmentOption] = {"mirror": "flip", "dihedral": "dihedral"}


@dataclass(frozen=True)
class ViewPlan:
    """The views of a set of images.

    Attributes:
        files: Path and sha256 of each image.
        preset: The kind of augmentation; view 0 is always the unchanged image.
        views: Number of views per image.
        seed: Random seed of the views.
    """

    files: tuple[tuple[str, str], ...]
    preset: AugmentOption
    views: int
    seed: int

    def seed_of(self, sha256: str, view: int) -> int:
        """Return the seed of a view, which depends on the content of the image only."""
        digest = hashlib.sha256(f"{self.seed}:{sha256}:{view}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def view(self, pixels: Pixels, image: int, view: int) -> Pixels:
        """Return a view of an image; view 0 is the image, and flips and rotations do not repeat.

        Args:
            pixels: The image, (size, size, 3).
            image: Its number in `files`.
            view: The number of the view.
        """
        sha256 = self.files[image][1]
        if view == 0:
            return pixels
        if self.preset == "flip":
            return turned(pixels, 1)
        if self.preset == "dihedral":
            others = np.random.default_rng(self.seed_of(sha256, 0)).permutation(7)
            return turned(pixels, 1 + int(others[view - 1]))
        return augmented(pixels, self.preset, self.seed_of(sha256, view))


def views_of(options: TuneOptions, orientations: OrientationsOption) -> tuple[AugmentOption, int]:
    """Return the augmentation and the number of views per image.

    If features are averaged over several orientations, training uses all of them.

    Raises:
        OptionError: The options contradict the orientations.
    """
    if orientations == "one":
        return options.augment, options.views_kept
    preset = _PRESETS[orientations]
    if options.augment not in (preset, "flip"):  # flip is the default.
        raise OptionError(
            f"With orientations '{orientations}', fine-tuning trains on exactly those views. "
            f"Leave out augment '{options.augment}'."
        )
    return preset, orientation_count(orientations)


def augmented(pixels: Pixels, preset: AugmentOption, seed: int) -> Pixels:
    """Draw a view of an image.

    Args:
        pixels: Shape (size, size, 3).
        preset: "standard" for random crops, flips and colour; "strong" for crops, flips and
            RandAugment (Cubuk et al., 2020).
        seed: Random seed of the view.
    """
    image = torch.tensor(pixels).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed also formats the stack for a GPU that is not in use, for every view.
        torch.default_generator.manual_seed(seed)
        view = _transform(preset, pixels.shape[0])(image)
    return np.ascontiguousarray(view.permute(1, 2, 0).numpy())


def turned(pixels: Pixels, number: int) -> Pixels:
    """Return an image of shape (size, size, 3) in one of the eight orientations, 0 to 7."""
    return np.ascontiguousarray(orient(torch.tensor(pixels), number).numpy())


@cache
def _transform(preset: AugmentOption, size: int) -> Callable[[Tensor], Tensor]:
    flip = v2.RandomHorizontalFlip()
    if preset == "standard":
        crop = v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True)
        chain = [crop, flip, v2.ColorJitter(0.2, 0.2, 0.2)]
    else:
        crop = v2.RandomResizedCrop(size, scale=(0.35, 1.0), antialias=True)
        chain = [crop, flip, v2.RandAugment()]
    transform: Callable[[Tensor], Tensor] = v2.Compose(chain)
    return transform
