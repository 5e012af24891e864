"""The device to compute on, and the fastest engine for it."""

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn

from headstart.engines.engine import Engine
from headstart.errors import OptionError
from headstart.options import DeviceOption

Device = Literal["cpu", "cuda"]


def choose_device(device: DeviceOption) -> Device:
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
    # Imported when needed: once OpenVINO is loaded, decoding images takes a sixth longer.
    if device == "cpu":
        from headstart.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(network, size=size, precision=precision, cache=cache, key=key)
    from headstart.engines.torch_engine import TorchEngine

    return TorchEngine(network, device=device, precision=precision)
