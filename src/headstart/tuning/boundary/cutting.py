"""A network cut at a boundary: the frozen half runs once, the trainable half in each epoch.

Together the halves compute the same features of all stages as `StagePooling`, or the same maps as
`StageMaps`, so a head fitted on those can be put on the upper half without changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument

from headstart.backbones import cutting
from headstart.backbones.maps import StageMaps
from headstart.backbones.parts import last_node_in, stage_names, trace
from headstart.backbones.pooling import StagePooling
from headstart.errors import OptionError


@dataclass(frozen=True)
class Halves:
    """The two halves of a network.

    Attributes:
        below: Computes rows (batch, row_width) from uint8 images (batch, height, width, 3).
        above: Computes the features or maps of the stages (batch, width) from rows.
        row_width: Numbers per row: the features or maps of stages below the boundary, then the
            feature map at the boundary.
    """

    below: nn.Module
    above: nn.Module
    row_width: int


class Below(nn.Module):
    """The frozen half, which computes rows from images."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph_module = graph

    def forward(self, images: Tensor) -> Tensor:
        """Return the flattened tensors that cross the boundary: shape (batch, row_width)."""
        crossing = self.graph_module(images)
        parts = crossing if isinstance(crossing, tuple) else (crossing,)
        return torch.cat([_channels_last(part).flatten(1) for part in parts], dim=1)


class Above(nn.Module):
    """The trainable half, which computes features or maps from rows."""

    def __init__(self, graph: fx.GraphModule, shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.graph_module = graph
        self._shapes = [tuple(shape) for shape in shapes]

    def forward(self, rows: Tensor) -> Tensor:
        """Return the features or maps of the stages: shape (batch, width)."""
        sizes = [int(torch.Size(shape).numel()) for shape in self._shapes]
        parts = torch.split(rows, sizes, dim=1)
        maps = [_unflattened(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        features: Tensor = self.graph_module(*maps)
        return features


def cut(whole: StagePooling | StageMaps, after: int) -> Halves:
    """Cut a network after a stage, counted from 1 at the stem.

    Args:
        whole: The network with what is computed from its stages.
        after: The stage.

    Raises:
        OptionError: The network has fewer stages.
        BackboneError: The network cannot be cut.
    """
    network = whole.network
    stages = stage_names(network)
    if not 1 <= after <= len(stages):
        raise OptionError(
            f"There is no boundary after stage {after}: the backbone has {len(stages)} stages. "
            f"Use 1 to {len(stages)}."
        )
    graph = trace(whole, network)
    name = next(name for name, module in whole.named_modules() if module is network)
    end = last_node_in(graph, f"{name}.{stages[after - 1]}", network)
    crossing = cutting.crossing_nodes(graph, end)
    values = _values(whole, graph, crossing)
    numbers = {
        node: cast(Argument, value)
        for node, value in values.items()
        if not isinstance(value, Tensor)
    }
    shapes = [tuple(value.shape[1:]) for value in values.values() if isinstance(value, Tensor)]
    halves = cutting.cut(graph, crossing, numbers)
    return Halves(
        Below(fx.GraphModule(whole, halves.below)),
        Above(fx.GraphModule(whole, halves.above), shapes),
        sum(int(torch.Size(shape).numel()) for shape in shapes),
    )


def _channels_last(part: Tensor) -> Tensor:
    """Move the channels of a feature map last, the layout that convolutions read fastest."""
    return part.permute(0, 2, 3, 1) if part.ndim == 4 else part


def _unflattened(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reverse `_channels_last` and flattening, without a copy."""
    if len(shape) != 3:
        return rows.reshape(-1, *shape)
    channels, height, width = shape
    return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


class _Recorder(fx.Interpreter):
    """Runs a graph and records the values of some nodes."""

    def __init__(self, module: nn.Module, graph: fx.Graph, wanted: Sequence[fx.Node]) -> None:
        super().__init__(fx.GraphModule(module, graph))
        self.found: dict[str, object] = {}
        self._wanted = {node.name for node in wanted}

    def run_node(self, n: fx.Node) -> object:
        """See `torch.fx.Interpreter`."""
        value = super().run_node(n)
        if n.name in self._wanted:
            self.found[n.name] = value
        return value


@torch.no_grad()
def _values(
    whole: StagePooling | StageMaps, graph: fx.Graph, crossing: Sequence[fx.Node]
) -> dict[fx.Node, object]:
    """Compute the values that cross the boundary for a blank image."""
    recorder = _Recorder(whole, graph, crossing)
    recorder.run(whole.blank())
    return {node: recorder.found[node.name] for node in crossing}
