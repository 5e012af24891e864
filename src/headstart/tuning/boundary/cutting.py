"""A network cut at a boundary: what is frozen below runs once, what learns above runs each epoch.

Both halves together compute the features of all stages that `StagePooling` computes, so that a head
fitted on stored features fits on top of the upper half as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument

from headstart.backbones import cutting
from headstart.backbones.parts import last_node_in, stage_names, trace
from headstart.backbones.pooling import StagePooling
from headstart.errors import OptionError


@dataclass(frozen=True)
class Halves:
    """The two halves.

    Attributes:
        below: From uint8 images (batch, height, width, 3) to rows (batch, row_width).
        above: From rows to the features of all stages (batch, width).
        row_width: Numbers in a row: what stages below the boundary contribute to the features,
            then the map at the boundary.
    """

    below: nn.Module
    above: nn.Module
    row_width: int


class Below(nn.Module):
    """Computes rows."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph_module = graph

    def forward(self, images: Tensor) -> Tensor:
        """Return what crosses the boundary, flat: shape (batch, row_width)."""
        crossing = self.graph_module(images)
        parts = crossing if isinstance(crossing, tuple) else (crossing,)
        return torch.cat([_channels_last(part).flatten(1) for part in parts], dim=1)


class Above(nn.Module):
    """Computes features from rows."""

    def __init__(self, graph: fx.GraphModule, shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.graph_module = graph
        self._shapes = [tuple(shape) for shape in shapes]

    def forward(self, rows: Tensor) -> Tensor:
        """Return the features of all stages: shape (batch, width)."""
        sizes = [int(torch.Size(shape).numel()) for shape in self._shapes]
        parts = torch.split(rows, sizes, dim=1)
        shaped = [_shaped(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        features: Tensor = self.graph_module(*shaped)
        return features


def cut(pooling: StagePooling, after: int) -> Halves:
    """Cut a network after a stage, counted from 1 at the stem.

    Raises:
        OptionError: There is no such stage.
        BackboneError: The network cannot be taken apart.
    """
    stages = stage_names(pooling.network)
    if not 1 <= after <= len(stages):
        raise OptionError(
            f"There is no boundary after stage {after}: the backbone has {len(stages)} stages. "
            f"Take 1 to {len(stages)}."
        )
    graph = trace(pooling, pooling.network)
    end = last_node_in(graph, f"network.{stages[after - 1]}", pooling.network)
    crossing = cutting.crossing_nodes(graph, end)
    values = _values(pooling, graph, crossing)
    numbers = {
        node: cast(Argument, one) for node, one in values.items() if not isinstance(one, Tensor)
    }
    shapes = [tuple(one.shape[1:]) for one in values.values() if isinstance(one, Tensor)]
    halves = cutting.cut(graph, crossing, numbers)
    return Halves(
        Below(fx.GraphModule(pooling, halves.below)),
        Above(fx.GraphModule(pooling, halves.above), shapes),
        sum(int(torch.Size(shape).numel()) for shape in shapes),
    )


def _channels_last(part: Tensor) -> Tensor:
    """Put the channels of a map's pixel side by side, as convolutions read them fastest."""
    return part.permute(0, 2, 3, 1) if part.ndim == 4 else part


def _shaped(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo `_channels_last` and flattening, without a copy."""
    if len(shape) != 3:
        return rows.reshape(-1, *shape)
    channels, height, width = shape
    return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the values of some nodes."""

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
    pooling: StagePooling, graph: fx.Graph, crossing: Sequence[fx.Node]
) -> dict[fx.Node, object]:
    """Compute what crosses for one blank image."""
    recorder = _Recorder(pooling, graph, crossing)
    recorder.run(pooling.blank())
    return {node: recorder.found[node.name] for node in crossing}
