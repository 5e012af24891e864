"""Fitted heads as PyTorch modules, for export and for fine-tuning."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from headstart.arrays import Floats, Temperature
from headstart.heads.fitted import (
    BlendModel,
    FittedHead,
    KernelModel,
    LinearModel,
    MLPModel,
    NearestModel,
    StackModel,
    width_of,
)
from headstart.heads.spaces import radial_basis

TrainableHead = LinearModel | MLPModel
"""Heads that can be trained jointly with a network."""


class _Standardise(nn.Module):
    """Centre and scale columns by the statistics of the head's training images."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Floats, scale: Floats) -> None:
        super().__init__()
        # Not persistent, so that they are neither averaged nor trained: the scale of a constant
        # column is infinite.
        self.register_buffer("mean", torch.from_numpy(mean.copy()), persistent=False)
        self.register_buffer("scale", torch.from_numpy(scale.copy()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale


class LinearModule(nn.Module):
    """A weighted sum of standardised features."""

    def __init__(self, head: LinearModel) -> None:
        super().__init__()
        self.standardise = _Standardise(head.mean, head.scale)
        self.weight = nn.Parameter(torch.tensor(head.weight))
        self.bias = nn.Parameter(torch.tensor(head.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        return torch.addmm(self.bias, self.standardise(features), self.weight)

    def head(self) -> LinearModel:
        """Return the head with the current weights."""
        mean, scale, weight, bias = _arrays(
            self.standardise.mean, self.standardise.scale, self.weight, self.bias
        )
        return LinearModel(mean, scale, weight, bias)


class MLPModule(nn.Module):
    """Two dense layers, with dropout between them in training."""

    def __init__(self, head: MLPModel, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.standardise = _Standardise(head.mean, head.scale)
        self.hidden_weight = nn.Parameter(torch.tensor(head.hidden_weight))
        self.hidden_bias = nn.Parameter(torch.tensor(head.hidden_bias))
        self.weight = nn.Parameter(torch.tensor(head.weight))
        self.bias = nn.Parameter(torch.tensor(head.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        rows = self.standardise(features)
        hidden = torch.relu(torch.addmm(self.hidden_bias, rows, self.hidden_weight))
        hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        return torch.addmm(self.bias, hidden, self.weight)

    def head(self) -> MLPModel:
        """Return the head with the current weights."""
        values = _arrays(
            *(self.standardise.mean, self.standardise.scale),
            *(self.hidden_weight, self.hidden_bias, self.weight, self.bias),
        )
        return MLPModel(*values)


class KernelModule(nn.Module):
    """A weighted sum of similarities to landmarks."""

    landmarks: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, head: KernelModel) -> None:
        super().__init__()
        self.standardise = _Standardise(head.mean, head.scale)
        self.bandwidth = head.bandwidth
        landmarks = self.standardise(torch.tensor(head.landmarks).float())
        self.register_buffer("landmarks", landmarks)
        self.register_buffer("weight", torch.tensor(head.weight))
        self.register_buffer("bias", torch.tensor(head.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        rows = self.standardise(features)
        return radial_basis(rows, self.landmarks, self.bandwidth) @ self.weight + self.bias


class NearestModule(nn.Module):
    """The cosine similarity to the mean direction of each class."""

    centres: Tensor

    def __init__(self, head: NearestModel) -> None:
        super().__init__()
        self.standardise = _Standardise(head.mean, head.scale)
        self.register_buffer("centres", torch.tensor(head.centres))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        directions = nn.functional.normalize(self.standardise(features), dim=1, eps=1e-12)
        return directions @ self.centres.T


class BlendModule(nn.Module):
    """The mean of two calibrated heads."""

    def __init__(self, head: BlendModel) -> None:
        super().__init__()
        self.first, self.second = head_module(head.first), head_module(head.second)
        self.widths = len(head.first.mean), len(head.second.mean)
        self.temperatures = head.first_temperature, head.second_temperature

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        first = self.first(features[:, : self.widths[0]]) / self.temperatures[0]
        second = self.second(features[:, : self.widths[1]]) / self.temperatures[1]
        total: Tensor = (first + second) / 2
        return total


class StackModule(nn.Module):
    """The weighted mean of the calibrated probabilities of several heads, as scores."""

    def __init__(self, head: StackModel) -> None:
        super().__init__()
        self.members = nn.ModuleList(head_module(member) for member in head.members)
        self.widths = [width_of(member) for member in head.members]
        self.shares, self.activation = head.shares, head.activation
        self.temperatures = nn.ParameterList(map(_constant, head.temperatures))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        parts = zip(self.members, self.widths, self.temperatures, strict=True)
        scores = [member(features[:, :width]) / temperature for member, width, temperature in parts]
        if self.activation == "sigmoid":
            present = self._mean([logsigmoid(each) for each in scores])
            return present - self._mean([logsigmoid(-each) for each in scores])
        return self._mean([each.log_softmax(dim=1) for each in scores])

    def _mean(self, logs: Sequence[Tensor]) -> Tensor:
        """Return the logarithm of the weighted mean of probabilities, from their logarithms."""
        parts = [each + math.log(share) for each, share in zip(logs, self.shares, strict=True)]
        return torch.stack(parts).logsumexp(dim=0)


def head_module(head: FittedHead) -> nn.Module:
    """Return a module that computes the scores of a fitted head, (images, classes)."""
    match head:
        case LinearModel():
            return LinearModule(head)
        case MLPModel():
            return MLPModule(head)
        case KernelModel():
            return KernelModule(head)
        case NearestModel():
            return NearestModule(head)
        case BlendModel():
            return BlendModule(head)
        case StackModel():
            return StackModule(head)
    raise TypeError(f"There is no module for a head of kind '{head.kind}'.")


def trainable_module(head: TrainableHead, *, dropout: float = 0.0) -> LinearModule | MLPModule:
    """Return a trainable module of a fitted head, which can be converted back to a head."""
    return MLPModule(head, dropout) if isinstance(head, MLPModel) else LinearModule(head)


def _constant(value: Temperature) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value), requires_grad=False)


def _arrays(*tensors: Tensor) -> list[Floats]:
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]
