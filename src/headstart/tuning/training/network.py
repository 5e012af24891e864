"""The trained network: the upper part of the backbone with a head on its features."""

import numpy as np
import torch
from torch import Tensor, nn

from headstart.heads.fitted import LinearModel
from headstart.heads.modules import (
    LinearModule,
    MLPModule,
    TrainableHead,
    trainable_module,
)
from headstart.tuning.training.depthwise import fast_depthwise


def zero_head(width: int, classes: int) -> LinearModel:
    """Return a linear head of zeros, for timing steps."""
    zeros = np.zeros((width, classes), dtype=np.float32)
    return LinearModel(zeros[:, 0], np.ones(width, dtype=np.float32), zeros, zeros[0])


class TrainedNetwork(nn.Module):
    """The trainable part of the backbone, with something on top of its features.

    Attributes:
        above: Computes the features of all stages, (images, width), from rows.
        top: Computes what is trained from the features.
    """

    def __init__(self, above: nn.Module, top: nn.Module, columns: slice) -> None:
        super().__init__()
        self.above = above
        self.top = top
        self._columns = columns

    def forward(self, rows: Tensor) -> Tensor:
        """Return what `top` computes, (images, width), float32."""
        with fast_depthwise(rows.device):
            features: Tensor = self.above(rows)[:, self._columns].float()
        with torch.autocast(features.device.type, enabled=False):
            scores: Tensor = self.top(features)
        return scores

    def trained_state(self) -> dict[str, Tensor]:
        """Return everything that training changes: parameters and buffers of trainable modules.

        Buffers that are not saved with a network, such as Swin's table of positions, are constants.
        """
        saved = self.state_dict().keys()
        state: dict[str, Tensor] = {
            name: parameter
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        }
        for name, module in self.above.named_modules(prefix="above"):
            if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
                buffers = module.named_buffers(prefix=name, recurse=False)
                state |= {buffer: value for buffer, value in buffers if buffer in saved}
        return state

    def copy_trained_state(self) -> dict[str, Tensor]:
        """Return a copy of the trained state."""
        return {name: tensor.detach().clone() for name, tensor in self.trained_state().items()}

    @torch.no_grad()
    def load_trained_state(self, weights: dict[str, Tensor]) -> None:
        """Load a state that `trained_state` returned."""
        for name, tensor in self.trained_state().items():
            tensor.copy_(weights[name])


class HeadedNetwork(TrainedNetwork):
    """The trainable part of the backbone with a head on its features.

    Its output are scores, (images, classes).
    """

    top: LinearModule | MLPModule

    def __init__(
        self, above: nn.Module, head: TrainableHead, columns: slice, *, dropout: float = 0.0
    ) -> None:
        super().__init__(above, trainable_module(head, dropout=dropout), columns)
