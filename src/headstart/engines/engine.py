"""The protocol of an engine."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from headstart.arrays import Features, Pixels

# Version of the rounding of weights to bf16; part of every feature's fingerprint.
ROUNDING_VERSION = 1


class Engine(Protocol):
    """Runs a network on batches of images.

    Attributes:
        name: "openvino" or "torch".
        precision: "bf16" or "float32".
        batch_size: The preferred number of images per batch.
        streams: The number of batches that run at a time.
    """

    name: str
    precision: str
    batch_size: int
    streams: int

    def infer(self, batch: Pixels) -> Features:
        """Return the features (images, width) of one batch. Several threads may call this."""
        ...

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """Yield features (images, width) of batches (images, height, width, 3), in order."""
        ...
