"""What is trained: the upper part of the backbone with a head on top of its features."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.heads.fitted import LinearModel, MLPModel
from headstart.tuning.depthwise import quick_depthwise

Trainable = LinearModel | MLPModel

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the tuned weights, that WiSE-FT tries."""


def untrained(width: int, classes: int) -> LinearModel:
    """Give a head that knows nothing, to time steps with."""
    zeros = np.zeros((width, classes), dtype=np.float32)
    return LinearModel(zeros[:, 0], np.ones(width, dtype=np.float32), zeros, zeros[0])


class _Top(nn.Module):
    """A fitted head that goes on learning: one layer, or the two of the tutorial's head."""

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
        """Give scores, shape (images, classes)."""
        rows = (features - self.mean) / self.scale
        if "hidden_weight" in self._names:
            rows = torch.relu(torch.addmm(self.hidden_bias, rows, self.hidden_weight))
            rows = nn.functional.dropout(rows, self.dropout, self.training)
        return torch.addmm(self.bias, rows, self.weight)

    def head(self) -> Trainable:
        """Give the head as it is now."""
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
        """Give scores, shape (images, classes), float32."""
        with quick_depthwise(rows.device):
            features: Tensor = self.above(rows)[:, self._columns].float()
        with torch.autocast(features.device.type, enabled=False):
            scores: Tensor = self.top(features)
        return scores

    def learnt(self) -> dict[str, Tensor]:
        """Give what training changes: parameters that learn, and statistics beside them."""
        state: dict[str, Tensor] = {
            name: one for name, one in self.named_parameters() if one.requires_grad
        }
        for name, module in self.above.named_modules(prefix="above"):
            if any(one.requires_grad for one in module.parameters(recurse=False)):
                for inner, value in module.named_buffers(recurse=False):
                    state[f"{name}.{inner}"] = value
        return state

    def copied(self) -> dict[str, Tensor]:
        """Give a copy of what training changes."""
        return {name: one.detach().clone() for name, one in self.learnt().items()}

    @torch.no_grad()
    def put(self, weights: dict[str, Tensor]) -> None:
        """Take the values that `learnt` gave before."""
        for name, one in self.learnt().items():
            one.copy_(weights[name])


def between(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Interpolate weights: 0 gives the start, 1 the end (WiSE-FT: Wortsman et al., 2022)."""

    def mixed(one: Tensor, other: Tensor) -> Any:  # noqa: ANN401
        return torch.lerp(one, other, share) if one.is_floating_point() else other

    return {name: mixed(one, end[name]) for name, one in start.items()}
