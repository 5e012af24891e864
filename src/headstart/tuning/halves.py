"""A network cut at a boundary: what is frozen below runs once, what learns above runs each epoch.

Both halves together give the features of all stages that `StagePooling` gives, so that a head
fitted on stored features fits on top of the upper half as it is.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from headstart.backbones.parts import end_of, needed, stage_names, trace
from headstart.backbones.pooling import StagePooling
from headstart.errors import BackboneError, OptionError

_Crossing = list[fx.Node]


@dataclass(frozen=True)
class Halves:
    """The two halves.

    Attributes:
        below: From uint8 images (batch, height, width, 3) to rows (batch, row_width).
        above: From rows to the features of all stages (batch, width).
        row_width: Numbers of one row: what stages below the boundary give to the features,
            then the map at the boundary.
    """

    below: nn.Module
    above: nn.Module
    row_width: int


class Below(nn.Module):
    """Gives rows."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph_module = graph

    def forward(self, images: Tensor) -> Tensor:
        """Give what crosses the boundary, flat: shape (batch, row_width)."""
        return torch.cat([_laid_out(part).flatten(1) for part in self.graph_module(images)], dim=1)


class Above(nn.Module):
    """Gives features from rows."""

    def __init__(self, graph: fx.GraphModule, shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.graph_module = graph
        self._shapes = [tuple(shape) for shape in shapes]

    def forward(self, rows: Tensor) -> Tensor:
        """Give the features of all stages: shape (batch, width)."""
        sizes = [int(torch.Size(shape).numel()) for shape in self._shapes]
        parts = torch.split(rows, sizes, dim=1)
        shaped = [_shaped(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        features: Tensor = self.graph_module(*shaped)
        return features


def _laid_out(part: Tensor) -> Tensor:
    """Put the channels of a map's pixel side by side, as convolutions read them fastest."""
    return part.permute(0, 2, 3, 1) if part.ndim == 4 else part


def _shaped(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo `_laid_out` and flattening, without a copy."""
    if len(shape) != 3:
        return rows.reshape(-1, *shape)
    channels, height, width = shape
    return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


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
    end = end_of(graph, f"network.{stages[after - 1]}", pooling.network)
    changing = _descendants(end)
    seen = _descendants(next(node for node in graph.nodes if node.op == "placeholder"))
    crossing = _crossing(seen, changing, end)
    values = _values(pooling, graph, crossing)
    tensors = [node for node in crossing if isinstance(values[node], Tensor)]
    shapes = [tuple(values[node].shape[1:]) for node in tensors]
    below = _below(tensors)
    above = _above(graph, seen - changing, tensors, values)
    return Halves(
        Below(fx.GraphModule(pooling, below)),
        Above(fx.GraphModule(pooling, above), shapes),
        sum(int(torch.Size(shape).numel()) for shape in shapes),
    )


def _descendants(end: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = [end]
    while waiting:
        for user in waiting.pop().users:
            if user not in found:
                found.add(user)
                waiting.append(user)
    return found


def _crossing(seen: set[fx.Node], changing: set[fx.Node], end: fx.Node) -> _Crossing:
    """Give what nodes above the boundary take from the image below it, the boundary's map last."""
    taken = [
        node
        for node in end.graph.nodes
        if node in seen - changing and any(user in changing for user in node.users)
    ]
    return [*(node for node in taken if node is not end), end]


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the values of some nodes."""

    def __init__(self, module: nn.Module, graph: fx.Graph, wanted: _Crossing) -> None:
        super().__init__(fx.GraphModule(module, graph))
        self.found: dict[str, Any] = {}
        self._wanted = {node.name for node in wanted}

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401
        """See `torch.fx.Interpreter`."""
        value = super().run_node(n)
        if n.name in self._wanted:
            self.found[n.name] = value
        return value


@torch.no_grad()
def _values(pooling: StagePooling, graph: fx.Graph, crossing: _Crossing) -> dict[fx.Node, Any]:
    """Find out by one blank image what crosses."""
    recorder = _Recorder(pooling, graph, crossing)
    recorder.run(pooling.blank())
    return {node: recorder.found[node.name] for node in crossing}


def _below(tensors: _Crossing) -> fx.Graph:
    part, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in needed(tensors, None):
        copies[node] = part.node_copy(node, copies.__getitem__)
    part.output(tuple(copies[node] for node in tensors))
    return part


def _above(
    graph: fx.Graph, lower: set[fx.Node], tensors: _Crossing, values: dict[fx.Node, Any]
) -> fx.Graph:
    """Copy what follows the boundary. Numbers that cross are those of the image size, or of the
    batch, which is read off the map instead."""
    part, copies = fx.Graph(), dict[fx.Node, Any]()
    for number, node in enumerate(tensors):
        copies[node] = part.placeholder(f"crossing_{number}")
    size = part.call_method("size", (copies[tensors[-1]], 0))
    for node, value in values.items():
        if not isinstance(value, Tensor):
            copies[node] = size if _is_batch(node) else value
    result = next(node for node in reversed(graph.nodes) if node.op == "output").args[0]
    for node in needed([result], None):
        if node not in copies and node not in lower and node.op != "placeholder":
            copies[node] = _copied(part, node, copies)
    part.output(copies[result])
    return part


def _copied(part: fx.Graph, node: fx.Node, copies: dict[fx.Node, Any]) -> fx.Node:
    """Copy a node; what it takes may have become a plain number."""

    def known(one: fx.Node) -> Any:  # noqa: ANN401
        if one not in copies:
            raise BackboneError(f"'{one}' crosses the boundary and cannot be kept.")
        return copies[one]

    arguments = fx.node.map_arg(node.args, known)
    keywords = fx.node.map_arg(node.kwargs, known)
    return part.create_node(node.op, node.target, arguments, keywords, node.name)


def _is_batch(node: fx.Node) -> bool:
    """Tell whether a node is the number of images: a tensor's size along the first axis."""
    if node.op == "call_function" and node.target is operator.getitem and node.args[1] == 0:
        shape = node.args[0]
        return isinstance(shape, fx.Node) and bool(shape.args[-1] == "shape")
    return False
