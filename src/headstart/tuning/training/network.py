"""What is trained: the upper part of the backbone with a head on top of its features."""

import numpy as np
import torch
from torch import Tensor, nn

from headstart.heads.fitted import LinearModel, MLPModel
from headstart.tuning.training.depthwise import quick_depthwise

Trainable = LinearModel | MLPModel
"""Heads that can go on learning."""


def untrained(width: int, classes: int) -> LinearModel:
    """Return a head of zeros, to time steps with."""
    zeros = np.zeros((width, classes), dtype=np.float32)
    return LinearModel(zeros[:, 0], np.ones(width, dtype=np.float32), zeros, zeros[0])


class _Top(nn.Module):
    """A fitted head as a module that learns: one layer, or the two of the tutorial's head."""

    mean: Tensor
    scale: Tensor
    hidden_weight: nn.Parameter
    hidden_bias: nn.Parameter
    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, head: Trainable, dropout: float) -> None:
        super().__init__()
        self._kind = type(head)
        self.dropout = dropout
        for name in ("mean", "scale"):
            # Not averaged: the scale of a column that never varies is infinite.
            value = torch.from_numpy(getattr(head, name).copy())
            self.register_buffer(name, value, persistent=False)
        self._names = ["weight", "bias"]
        if isinstance(head, MLPModel):
            self._names = ["hidden_weight", "hidden_bias", *self._names]
        for name in self._names:
            self.register_parameter(name, nn.Parameter(torch.tensor(getattr(head, name))))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, shape (images, classes)."""
        rows = (features - self.mean) / self.scale
        if "hidden_weight" in self._names:
            rows = torch.relu(torch.addmm(self.hidden_bias, rows, self.hidden_weight))
            rows = nn.functional.dropout(rows, self.dropout, self.training)
        return torch.addmm(self.bias, rows, self.weight)

    def head(self) -> Trainable:
        """Return the head as it is now."""
        values = {name: getattr(self, name) for name in ("mean", "scale", *self._names)}
        return self._kind(
            **{name: one.detach().cpu().numpy().copy() for name, one in values.items()}
        )


class HeadedNetwork(nn.Module):
    """The trainable part of the backbone with a head on its features.

    Attributes:
        above: From rows to the features of all stages, (images, width).
        top: The head.
    """

    def __init__(
        self, above: nn.Module, head: Trainable, columns: slice, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.above = above
        self.top = _Top(head, dropout)
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
