"""What is trained: the upper part of the backbone with a head on top of its features."""

import numpy as np
import torch
from torch import Tensor, nn

from headstart.heads.fitted import LinearModel
from headstart.heads.modules import TrainableHead, trainable_module
from headstart.tuning.training.depthwise import quick_depthwise


def untrained(width: int, classes: int) -> LinearModel:
    """Return a head of zeros, to time steps with."""
    zeros = np.zeros((width, classes), dtype=np.float32)
    return LinearModel(zeros[:, 0], np.ones(width, dtype=np.float32), zeros, zeros[0])


class HeadedNetwork(nn.Module):
    """The trainable part of the backbone with a head on its features.

    Attributes:
        above: From rows to the features of all stages, (images, width).
        top: The head.
    """

    def __init__(
        self, above: nn.Module, head: TrainableHead, columns: slice, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.above = above
        self.top = trainable_module(head, dropout=dropout)
        self._columns = columns

    def forward(self, rows: Tensor) -> Tensor:
        """Return scores, shape (images, classes), float32."""
        with quick_depthwise(rows.device):
            features: Tensor = self.above(rows)[:, self._columns].float()
        with torch.autocast(features.device.type, enabled=False):
            scores: Tensor = self.top(features)
        return scores

    def trained(self) -> dict[str, Tensor]:
        """Return what training changes: parameters that learn, and statistics beside them."""
        state: dict[str, Tensor] = {
            name: one for name, one in self.named_parameters() if one.requires_grad
        }
        for name, module in self.above.named_modules(prefix="above"):
            if any(one.requires_grad for one in module.parameters(recurse=False)):
                for inner, value in module.named_buffers(recurse=False):
                    state[f"{name}.{inner}"] = value
        return state

    def copy_trained(self) -> dict[str, Tensor]:
        """Return a copy of what training changes."""
        return {name: one.detach().clone() for name, one in self.trained().items()}

    @torch.no_grad()
    def load_trained(self, weights: dict[str, Tensor]) -> None:
        """Load values that `trained` returned before."""
        for name, one in self.trained().items():
            one.copy_(weights[name])
