"""The only place where the backbone changes while it is trained, and where it is put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.tuning.pacing.timing import lay_out


@dataclass(frozen=True)
class Unfrozen:
    """A backbone while it is trained.

    Attributes:
        backbone: It.
        original: Its weights as they were.
    """

    backbone: Backbone
    original: dict[str, Tensor]

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        return self.backbone.network

    def unfreeze(self, part: str) -> None:
        """Let a part learn, and freeze everything below it.

        Raises:
            OptionError: There is no such part.
        """
        self.backbone.unfreeze(part)

    def reset(self) -> None:
        """Load the original weights."""
        self.network.load_state_dict(self.original)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights as they are now, on the CPU and contiguous."""
        return {
            name: one.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
            for name, one in self.network.state_dict().items()
        }


@contextmanager
def unfrozen(backbone: Backbone, device: str) -> Iterator[Unfrozen]:
    """Move a backbone to a device to train it there.

    However the block ends, the backbone is then frozen, back where it was, and has its original
    weights: what training gave has to be copied out.
    """
    network = backbone.network
    home = next(network.parameters()).device
    network.to(device)
    original = {name: one.clone() for name, one in network.state_dict().items()}
    training = Unfrozen(backbone, original)
    try:
        yield training
    finally:
        training.reset()
        lay_out(network, home, channels_last=False)
        backbone.freeze()
