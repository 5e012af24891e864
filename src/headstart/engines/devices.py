"""Choose the device, and create the fastest engine for it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from headstart.engines.engine import Engine
from headstart.errors import OptionError
from headstart.options import DeviceOption

if TYPE_CHECKING:
    from torch import nn

Device = Literal["cpu", "cuda"]


def choose_device(device: DeviceOption) -> Device:
    """Resolve "auto" to "cuda" or "cpu".

    Raises:
        OptionError: The device is unknown, or "cuda" is not available.
    """
    if device not in get_args(DeviceOption):
        raise OptionError(f"device must be auto, cpu or cuda. Got '{device}'.")
    available = _has_cuda()
    if device == "cuda" and not available:
        raise OptionError("device 'cuda' was requested, but torch finds no CUDA GPU. Use 'cpu'.")
    return "cuda" if available and device != "cpu" else "cpu"


def make_engine(
    network: Callable[[], nn.Module],
    *,
    size: int,
    device: str,
    precision: str,
    cache: Path,
    key: str,
) -> Engine:
    """Create the fastest engine for a device: OpenVINO on a CPU, otherwise PyTorch.

    Args:
        network: Function that returns the network, whose input is uint8 images (batch, size, size,
            3). It is not called on a CPU if the converted network is on disk.
        size: Side of the images, in pixels.
        device: "cpu" or "cuda".
        precision: "bf16" or "float32".
        cache: Folder for converted networks.
        key: Identifies the network with its weights in the cache.
    """
    # Imported only when needed: once OpenVINO is loaded, decoding images takes a sixth longer.
    if device == "cpu":
        from headstart.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(network, size=size, precision=precision, cache=cache, key=key)
    from headstart.engines.torch_engine import TorchEngine

    return TorchEngine(network(), device=device, precision=precision)


def _has_cuda() -> bool:
    """Return whether PyTorch finds a GPU; import it only if NVIDIA's driver is installed."""
    if "torch" not in sys.modules:
        try:
            ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()
