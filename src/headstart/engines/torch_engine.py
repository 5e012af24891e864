"""Run a network with PyTorch, on a GPU or as the reference on a CPU."""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from headstart.arrays import Features, Pixels


class TorchEngine:
    """Runs a network in channels-last format, with mixed precision if bf16 is requested."""

    name = "torch"
    streams = 1

    def __init__(self, network: nn.Module, *, device: str, precision: str) -> None:
        self.precision = precision
        self.batch_size = 64 if device == "cuda" else 16
        self._device = torch.device(device)
        # A copy, so that the caller's network stays on its device.
        network = copy.deepcopy(network).eval()
        self._network = network.to(self._device).to(memory_format=torch.channels_last)

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """See `Engine.run`."""
        return map(self.infer, batches)

    @torch.inference_mode()
    def infer(self, batch: Pixels) -> Features:
        """See `Engine.infer`."""
        images = torch.from_numpy(batch).to(self._device, non_blocking=True)
        bf16 = self.precision == "bf16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=bf16):
            features: Features = self._network(images).float().cpu().numpy()
        return features
