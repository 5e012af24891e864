"""Cutting a graph: the values that cross a cut, and the two halves."""

import pytest
import torch
from torch import fx, nn

from headstart.backbones.cutting import crossing_nodes, cut, dependencies, output_node
from headstart.errors import BackboneError


class Branching(nn.Module):
    """Passes a statistic of its first layer around its second layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, images):
        below = self.first(images)
        statistic = below.mean(dim=1, keepdim=True)
        above = self.second(below).reshape(images.shape[0], -1)
        _unused = below + 1
        return torch.cat([above, statistic], dim=1)


class Skipping(nn.Module):
    """Adds the images to the output."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)

    def forward(self, images):
        return self.first(images) * 2 + images


def traced(module):
    """Return a module's graph and the node of its first layer."""
    graph = fx.symbolic_trace(module).graph
    return graph, next(node for node in graph.nodes if node.target == "first")


def test_values_used_after_the_cut_cross_and_the_end_comes_last():
    """Values that follow from the end, or that nothing depends on, do not cross."""
    graph, end = traced(Branching())
    *others, last = crossing_nodes(graph, end)
    assert last is end and len(others) == 1
    assert others[0].op == "call_function"  # The batch size.


@pytest.mark.parametrize("count", [1, 4])
def test_two_halves_equal_the_whole_for_any_batch_size(count):
    """A batch size that crosses is read from the tensors instead."""
    module = Branching()
    graph, end = traced(module)
    crossing = crossing_nodes(graph, end)
    halves = cut(graph, crossing, {crossing[0]: 7})
    below, above = fx.GraphModule(module, halves.below), fx.GraphModule(module, halves.above)
    images = torch.rand(count, 3)
    assert torch.equal(above(below(images)), module(images))
    assert {name for name, _ in below.named_parameters()} == {"first.weight", "first.bias"}
    assert {name for name, _ in above.named_parameters()} == {"second.weight", "second.bias"}


def test_several_tensors_are_a_tuple():
    """The upper half takes one argument per tensor."""
    module = Branching()
    graph, _ = traced(module)
    end = next(node for node in graph.nodes if node.target == "second")
    crossing = crossing_nodes(graph, end)
    numbers = {node: 7 for node in crossing if "getitem" in node.name}
    halves = cut(graph, crossing, numbers)
    below, above = fx.GraphModule(module, halves.below), fx.GraphModule(module, halves.above)
    images = torch.rand(4, 3)
    kept = below(images)
    assert isinstance(kept, tuple) and len(kept) == 2
    assert torch.equal(above(*kept), module(images))


def test_images_cannot_cross():
    """If the images are used after the cut, the lower half cannot be computed in advance."""
    graph, end = traced(Skipping())
    with pytest.raises(BackboneError, match="'images' crosses the boundary and cannot be stored"):
        cut(graph, crossing_nodes(graph, end))


def test_dependencies_of_a_result():
    """Dependencies are in order of execution, and end at known nodes."""
    graph, end = traced(Branching())
    everything = dependencies([output_node(graph)])
    assert end in everything and not any(node.name.startswith("add") for node in everything)
    assert end not in dependencies([output_node(graph)], [end])
