"""Predictions for images that the model was not fitted on, kept to decide what it may claim later.

Prediction sets, abstention and estimates of accuracy on other images are all derived from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from headstart.arrays import Anything, Flags, Floats, Numbers, Probabilities, Targets

# At most so many probabilities are kept, which are 4 MB in a bundle.
_MAX_VALUES = 1_000_000
_MIN_SAMPLE = 1_000


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Calibrated predictions for training images by models that were not fitted on them.

    Attributes:
        probabilities: Shape (images, classes).
        targets: The true class of each image, (images,).
    """

    probabilities: Floats
    targets: Targets

    @classmethod
    def of(cls, probabilities: Probabilities, targets: Targets, *, seed: int) -> Self:
        """Keep all predictions or, of many images and classes, those of a random sample."""
        limit = max(_MIN_SAMPLE, _MAX_VALUES // probabilities.shape[1])
        rows = np.arange(len(targets))
        if len(targets) > limit:
            rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[:limit])
        return cls(probabilities[rows].astype(np.float32), targets[rows])

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def confidence(self) -> Numbers:
        """The probability of the predicted class of each image, (images,)."""
        highest: Numbers = self.probabilities.max(axis=1).astype(np.float64)
        return highest

    @property
    def correct(self) -> Flags:
        """Which images are predicted correctly, (images,)."""
        flags: Flags = self.probabilities.argmax(axis=1) == self.targets
        return flags

    def to_arrays(self) -> dict[str, Anything]:
        """Return the values as arrays by name."""
        return {"probabilities": self.probabilities, "targets": self.targets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Anything]) -> Self:
        """Create a set from the result of `to_arrays`."""
        return cls(arrays["probabilities"].astype(np.float32), arrays["targets"].astype(np.int64))
