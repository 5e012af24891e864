"""A predictor as one PyTorch module: pixels in, calibrated probabilities out."""

import copy
from typing import Protocol

import torch
from torch import Tensor, nn

from headstart.arrays import Temperature
from headstart.features.rounding import HALF_MAX
from headstart.heads.fitted import FittedHead
from headstart.heads.modules import head_module


class Link(Protocol):
    """Converts calibrated scores into probabilities."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Return probabilities of the same shape."""
        ...


class PredictorModule(nn.Module):
    """A complete model from pixels to probabilities, as used by export and tests.

    Input: uint8 images of shape (batch, size, size, 3), as returned by `Preprocess.pixels`.
    Output: probabilities of shape (batch, classes), float32.

    Args:
        pooling: Maps images to the features of all stages. The module copies it.
        columns: The columns of the features that the head reads.
        stored_as: The precision that features are rounded to.
        head: The fitted head.
        temperature: The divisor of the scores.
        link: Maps calibrated scores to probabilities.
    """

    temperature: Tensor

    def __init__(
        self,
        pooling: nn.Module,
        columns: slice,
        stored_as: str,
        head: FittedHead,
        temperature: Temperature,
        link: Link,
    ) -> None:
        super().__init__()
        self.pooling = copy.deepcopy(pooling)
        self.head = head_module(head)
        self._columns, self._half = columns, stored_as == "float16"
        self._link = link
        self.register_buffer("temperature", torch.tensor(temperature), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities."""
        return self.probabilities(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Return the features of all stages, rounded as stored, (batch, width)."""
        features: Tensor = self.pooling(images)
        return _rounded_to_half(features) if self._half else features

    def probabilities(self, features: Tensor) -> Tensor:
        """Return the probabilities for features."""
        return self._link(self.head(features[:, self._columns]) / self.temperature)


def _rounded_to_half(values: Tensor) -> Tensor:
    """Round to the 11 significant bits of half precision, without converting.

    Some engines compute everything in float32, and leave out a conversion to half and back. The
    split is Veltkamp's (Dekker, 1971).
    """
    values = values.clamp(-HALF_MAX, HALF_MAX)
    shifted = values * (2**13 + 1)
    return shifted - (shifted - values)
