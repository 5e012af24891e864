"""Cut the graph of a traced network after a node.

`Backbone.split` cuts where a single map crosses. Fine-tuning cuts a network together with its
pooling, where statistics of lower stages cross as well.
"""

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import fx
from torch.fx.node import Argument

from headstart.errors import BackboneError


@dataclass(frozen=True)
class Halves:
    """The two graphs of a network that was cut.

    Attributes:
        below: Computes the crossing values from the images: one value, or a tuple of several.
        above: Computes the output from the crossing values, one argument each.
    """

    below: fx.Graph
    above: fx.Graph


def crossing_nodes(graph: fx.Graph, end: fx.Node) -> list[fx.Node]:
    """Return the nodes that are computed up to a node and used after it. That node comes last."""
    images = [node for node in graph.nodes if node.op == "placeholder"]
    above = _descendants([end])
    below = {*images, *_descendants(images)} - above
    used = set(dependencies([output_node(graph)])) & above
    crossing = [node for node in graph.nodes if node in below and used & set(node.users)]
    return [*(node for node in crossing if node is not end), end]


def cut(
    graph: fx.Graph, crossing: Sequence[fx.Node], numbers: Mapping[fx.Node, Argument] | None = None
) -> Halves:
    """Cut a graph at the nodes whose values cross.

    Args:
        graph: The graph of the whole network.
        crossing: The result of `crossing_nodes`; the last value has shape (batch, …).
        numbers: The values of the nodes that are not tensors. They depend on the image size only,
            so they become constants of the graph, except the batch size, which is read from the
            last tensor.

    Raises:
        BackboneError: The images themselves are used after the cut.
    """
    numbers = numbers or {}
    for node in crossing:
        if node.op == "placeholder":
            raise BackboneError(f"'{node}' crosses the boundary and cannot be stored.")
    tensors = [node for node in crossing if node not in numbers]
    return Halves(_below(tensors), _above(graph, tensors, numbers))


def dependencies(ends: Sequence[fx.Node], known: Collection[fx.Node] = ()) -> list[fx.Node]:
    """Return the given nodes and all nodes they depend on, in order of execution.

    Known nodes are left out, along with the nodes that only they depend on.
    """
    found: set[fx.Node] = set()
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node not in known and node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return [node for node in ends[-1].graph.nodes if node in found]


def output_node(graph: fx.Graph) -> fx.Node:
    """Return the node that computes the output of a graph."""
    output = next(node for node in reversed(graph.nodes) if node.op == "output")
    result = output.args[0]
    assert isinstance(result, fx.Node)
    return result


def _descendants(nodes: Sequence[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        for user in waiting.pop().users:
            if user not in found:
                found.add(user)
                waiting.append(user)
    return found


def _below(tensors: Sequence[fx.Node]) -> fx.Graph:
    part, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in dependencies(tensors):
        copies[node] = part.node_copy(node, copies.__getitem__)
    outputs = tuple(copies[node] for node in tensors)
    part.output(outputs if len(outputs) > 1 else outputs[0])
    return part


def _above(
    graph: fx.Graph, tensors: Sequence[fx.Node], numbers: Mapping[fx.Node, Argument]
) -> fx.Graph:
    part, copies = fx.Graph(), dict[fx.Node, Argument]()
    for index, node in enumerate(tensors):
        copies[node] = part.placeholder(f"crossing_{index}")
    if any(map(_is_batch, numbers)):
        batch = part.call_method("size", (copies[tensors[-1]], 0))
        copies |= {node: batch for node in numbers if _is_batch(node)}
    copies |= {node: value for node, value in numbers.items() if not _is_batch(node)}
    result = output_node(graph)
    for node in dependencies([result], copies):
        copies[node] = _copy_node(part, node, copies)
    part.output(copies[result])
    return part


def _copy_node(part: fx.Graph, node: fx.Node, copies: Mapping[fx.Node, Argument]) -> fx.Node:
    """Copy a node; unlike `Graph.node_copy`, arguments may be replaced by plain numbers."""
    arguments = fx.node.map_arg(node.args, copies.__getitem__)
    keywords = fx.node.map_arg(node.kwargs, copies.__getitem__)
    return part.create_node(node.op, node.target, arguments, keywords, node.name)


def _is_batch(node: fx.Node) -> bool:
    """Return whether a node is the batch size: a tensor's size along the first axis."""
    if node.op == "call_function" and node.target is operator.getitem and node.args[1] == 0:
        shape = node.args[0]
        return isinstance(shape, fx.Node) and bool(shape.args[-1] == "shape")
    return False
