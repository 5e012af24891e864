"""Whether the features of training images fit in memory, and what a fit needs if they do not."""

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Rows
from headstart.data.images import ImageSet
from headstart.features.extractor import FeatureExtractor
from headstart.heads.streaming import Blocks, Read
from headstart.memory import machine_memory

_GB = 1e9
# Bytes that a fit in memory takes per image and column; see docs/decisions/streaming-head.md.
_BYTES = 20
# Images from which the limits of a streamed model are learnt.
_KNOWN = 10_000


@dataclass(frozen=True)
class HeadMemory:
    """The memory for training a head.

    Attributes:
        images: The number of training images.
        needed: What their features need in memory, in GB.
        limit: What may be used, in GB.
    """

    images: int
    needed: float
    limit: float

    @classmethod
    def of(cls, images: int, width: int, limit: float | None) -> "HeadMemory":
        """Estimate the memory for a number of images and columns; half the machine's is allowed."""
        allowed = machine_memory() / 2 / _GB if limit is None else limit
        return cls(images, images * width * _BYTES / _GB, allowed)

    @property
    def suffices(self) -> bool:
        """Whether the features fit."""
        return self.needed <= self.limit

    @property
    def message(self) -> str:
        """What is done if they do not fit, in sentences for the user."""
        return (
            f"{self.images:,} training images do not fit in memory: their features need about "
            f"{self.needed:,.3g} GB, and {self.limit:,.3g} GB may be used (--head-memory). A "
            "linear head on the last layer is streamed from the feature store. It is chosen and "
            "calibrated on one held-out part instead of folds, and only labels of that part are "
            "audited. Left out: kernel heads, features of other layers, the average of heads, the "
            "search for series, and the choice by a validation part."
        )


def reader(extractor: FeatureExtractor, images: ImageSet) -> Read:
    """Return a function that yields stored features of some of the images, in blocks."""
    files = images.files

    def read(rows: Rows, columns: slice) -> Blocks:
        for places, block in extractor.blocks([files[row] for row in rows], columns):
            yield rows[places], block

    return read


def known_sample(images: ImageSet, *, seed: int) -> ImageSet:
    """Draw the images from which the limits of a streamed model are learnt."""
    return images.take(np.random.default_rng(seed).permutation(len(images))[:_KNOWN])
