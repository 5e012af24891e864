"""What an engine is, and which one this machine should use."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import torch
from torch import nn

from headstart.errors import OptionError
from headstart.options import DeviceOption

# Of how weights are brought to bf16 (see rounding.py); another one gives other features.
ROUNDING_VERSION = 1

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Features = np.ndarray[Any, np.dtype[np.float32]]


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


def choose_device(device: DeviceOption) -> str:
    """Resolve "auto" to "cuda" or "cpu".

    Raises:
        OptionError: "cuda" is asked for and there is none.
    """
    if device not in get_args(DeviceOption):
        raise OptionError(f"device must be auto, cpu or cuda. Got '{device}'.")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise OptionError("device 'cuda' is asked for, but torch finds no CUDA GPU. Use 'cpu'.")
    return "cuda" if available and device != "cpu" else "cpu"


def make_engine(
    network: nn.Module, *, size: int, device: str, precision: str, cache: Path, key: str
) -> Engine:
    """Build the fastest engine for a device: OpenVINO on a CPU, torch elsewhere.

    Args:
        network: Takes uint8 images (batch, size, size, 3).
        size: Side of the images, in pixels.
        device: "cpu" or "cuda".
        precision: "bf16" or "float32".
        cache: Folder for converted networks.
        key: Names the network with its weights; a converted network is found by it.
    """
    if device == "cpu":
        from headstart.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(network, size=size, precision=precision, cache=cache, key=key)
    from headstart.engines.torch_engine import TorchEngine

    return TorchEngine(network, device=device, precision=precision)
