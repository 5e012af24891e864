"""Unfreezing: the only place where the backbone changes for training, and where it is restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.tuning.pacing.timing import set_layout


@dataclass(frozen=True)
class Unfrozen:
    """A backbone during training.

    Attributes:
        backbone: The backbone.
        original: Its weights before training.
    """

    backbone: Backbone
    original: dict[str, Tensor]

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        return self.backbone.network

    def unfreeze(self, part: str) -> None:
        """Make a part trainable, and freeze everything below it.

        Raises:
            OptionError: There is no such part.
        """
        self.backbone.unfreeze(part)

    def reset(self) -> None:
        """Restore the original weights."""
        self.network.load_state_dict(self.original)

    def weights(self) -> dict[str, Tensor]:
        """Return a contiguous copy of the current weights on the CPU."""
        return {
            name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
            for name, tensor in self.network.state_dict().items()
        }


@contextmanager
def unfrozen(backbone: Backbone, device: str) -> Iterator[Unfrozen]:
    """Move a backbone to a device for training.

    At the end of the block, also after an error, the backbone is frozen again, with its original
    device and weights. Trained weights have to be copied within the block.
    """
    network = backbone.network
    original_device = next(network.parameters()).device
    network.to(device)
    original = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = Unfrozen(backbone, original)
    try:
        yield training
    finally:
        training.reset()
        set_layout(network, original_device, channels_last=False)
        backbone.freeze()
