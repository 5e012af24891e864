"""What an engine is."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from headstart.arrays import Features, Pixels

# Of how weights are brought to bf16; another one gives other features.
ROUNDING_VERSION = 1


class Engine(Protocol):
    """Something that runs a network.

    Attributes:
        name: "openvino" or "torch".
        precision: "bf16" or "float32".
        batch_size: How many images it likes at a time.
    """

    name: str
    precision: str
    batch_size: int

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """Turn batches (images, height, width, 3) into (images, width), in order, lazily."""
        ...
