"""The parts of a network in the order in which an image passes them: layers, stages, boundaries.

One mechanism serves every architecture: the network's graph, traced with torch.fx. A layer is a
module without smaller layers in it, a stage ends where timm's `feature_info` says, and a boundary
is a place in the graph.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from timm.layers import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn

from headstart.backbones.cutting import crossing_nodes, cut
from headstart.errors import BackboneError, OptionError

_INSTEAD = "Use it frozen as a whole, train all of it, or take one of `headstart backbones`."
_SPEC = re.compile(r"(stages|layers):(\d+)")


class _Tracer(fx.Tracer):
    """Traces down to layers and no further: what a layer does in training is its own affair."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self._opaque = tuple(get_notrace_modules())
        # Functions to leave whole are looked for where the network's code is, even if what is
        # traced is something around it.
        self._autowrap_search.append(sys.modules[type(network).__module__])

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See `torch.fx.Tracer`."""
        if isinstance(m, self._opaque) or super().is_leaf_module(m, module_qualified_name):
            return True
        inner = any(_own_tensors(child) for child in m.modules() if child is not m)
        return not inner and (_own_tensors(m) or not any(m.children()))


@dataclass(frozen=True)
class Parts:
    """A network taken apart.

    Attributes:
        network: The module.
        graph: What it does to normalised images, layer by layer.
        layers: The layers in order of execution; those that do nothing are left out.
        stages: The node that each stage ends with, from the stem up.
    """

    network: nn.Module
    graph: fx.Graph
    layers: tuple[fx.Node, ...]
    stages: tuple[fx.Node, ...]

    def first_trainable(self, spec: str) -> fx.Node | None:
        """Return where the trainable part begins, or None where nothing is trainable.

        Args:
            spec: "all", "none", "stages:N" or "layers:N": the last N of them.

        Raises:
            OptionError: It is none of these, or the network has fewer.
        """
        nodes: list[fx.Node] = list(self.graph.nodes)
        kind, count = _parse(spec)
        if kind == "all":
            return nodes[0]
        if kind == "none" or count == 0:
            return None
        own = self.layers if kind == "layers" else self.stages
        if count > len(own):
            raise OptionError(
                f"'{spec}' goes beyond the backbone: it has {len(own)} {kind}. "
                f"Take at most {kind}:{len(own)}, or all."
            )
        if kind == "layers":
            return own[-count]
        return nodes[0] if count == len(own) else own[-count - 1].next

    def stages_below(self, spec: str) -> int:
        """Return how many whole stages stay frozen below the trainable part that `spec` names."""
        first = self.first_trainable(spec)
        nodes = list(self.graph.nodes)
        if first is None:
            return len(self.stages)
        return sum(nodes.index(end) < nodes.index(first) for end in self.stages)

    def frozen_below(self, first: fx.Node | None) -> tuple[set[str], set[str]]:
        """Return names of the parameters and of the layers that a boundary leaves frozen.

        Args:
            first: Where the trainable part begins.
        """
        trained, still = set[str](), set[str]()
        names = dict(self.network.named_modules())
        frozen = True
        for node in self.graph.nodes:
            frozen = frozen and node is not first
            if node.op == "call_module" and frozen:
                still.add(str(node.target))
            elif node.op == "call_module":
                inner = names[str(node.target)].named_parameters()
                trained.update(f"{node.target}.{name}" for name, _ in inner)
                still.discard(str(node.target))
            elif node.op == "get_attr" and not frozen:
                trained.add(str(node.target))
        everything = {name for name, _ in self.network.named_parameters()}
        return everything - trained, still

    def split(self, after: int) -> tuple[fx.GraphModule, fx.GraphModule]:
        """Cut the network after a stage, counted from 1 at the stem.

        Returns:
            A network from normalised images to the stage's map, and one from there to the pooled
            output. Both share their weights with the whole.

        Raises:
            OptionError: There is no such stage.
            BackboneError: More than its map crosses the boundary.
        """
        if not 1 <= after <= len(self.stages):
            raise OptionError(
                f"There is no boundary after stage {after}: the backbone has "
                f"{len(self.stages)} stages. Take 1 to {len(self.stages)}."
            )
        crossing = crossing_nodes(self.graph, self.stages[after - 1])
        if len(crossing) > 1:
            raise BackboneError(
                f"'{_name(self.network)}' cannot be cut after stage {after}: more than one value "
                f"crosses there. {_INSTEAD}"
            )
        halves = cut(self.graph, crossing)
        return (
            fx.GraphModule(self.network, halves.below),
            fx.GraphModule(self.network, halves.above),
        )


def take_apart(network: nn.Module) -> Parts:
    """Trace a network without its classifier.

    Raises:
        BackboneError: torch.fx cannot trace it, or timm tells no stages of it.
    """
    graph = trace(network, network)
    modules = dict(network.named_modules())
    layers = [node for node in graph.nodes if node.op == "call_module"]
    doing = [node for node in layers if not _does_nothing(modules[str(node.target)])]
    ends = [end_of(graph, stage, network) for stage in stage_names(network)]
    return Parts(network, graph, tuple(doing), tuple(ends))


def trace(module: nn.Module, network: nn.Module) -> fx.Graph:
    """Return the graph of a network, or of a module around it.

    Raises:
        BackboneError: torch.fx cannot trace it.
    """
    try:
        return _Tracer(network).trace(module, concrete_args=_defaults(module))
    except Exception as error:  # Tracing runs the network's own code, which may raise anything.
        raise BackboneError(
            f"'{_name(network)}' cannot be taken apart into layers: {error}. {_INSTEAD}"
        ) from None


def stage_names(network: nn.Module) -> list[str]:
    """Return the module that each stage ends with, by timm's `feature_info`."""
    found = getattr(network, "feature_info", [])
    return [str(one["module"]) for one in getattr(found, "info", found)]


def _parse(spec: str) -> tuple[str, int]:
    if spec in ("all", "none"):
        return spec, 0
    match = _SPEC.fullmatch(spec)
    if not match:
        raise OptionError(
            f"'{spec}' names no part of a backbone. Use all, none, stages:N or layers:N."
        )
    return match[1], int(match[2])


def _defaults(network: nn.Module) -> dict[str, Any]:
    """Return what `forward` takes besides the images, at its default."""
    _, *others = inspect.signature(network.forward).parameters.values()
    return {one.name: one.default for one in others if one.default is not one.empty}


def _own_tensors(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(own)


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or (
        isinstance(module, nn.Sequential) and not len(module)
    )


def end_of(graph: fx.Graph, stage: str, network: nn.Module) -> fx.Node:
    """Return the last node that ran inside a module.

    Raises:
        BackboneError: None did: the stages of the network are no modules that follow each other.
    """
    inside = [
        node
        for node in graph.nodes
        if any(name == stage for name, _ in node.meta.get("nn_module_stack", {}).values())
    ]
    if not inside:
        raise BackboneError(
            f"'{_name(network)}' cannot be taken apart into stages: they are not modules that "
            f"follow one another. {_INSTEAD}"
        )
    end: fx.Node = inside[-1]
    return end


def _name(network: nn.Module) -> str:
    settings: Any = getattr(network, "pretrained_cfg", {})
    return str(settings.get("architecture") or type(network).__name__)


def watch_over(network: nn.Module) -> None:
    """See to it that frozen layers stay in evaluation mode, whoever calls `train()`.

    Otherwise their statistics would drift although their weights are frozen, the classic failure
    of fine-tuning with batch norm (Keras issue 9214, torchvision issue 2079).
    """
    if getattr(network, "watched_over", False):
        return
    network.watched_over = True  # type: ignore[assignment]
    for module in network.modules():
        if _own_tensors(module) or not any(module.children()):
            module.register_forward_pre_hook(_keep_still)


def is_still(module: nn.Module) -> bool:
    """Return whether a module is frozen: by its parameters, or by its place if it has none."""
    parameters = list(module.parameters())
    if parameters:
        return not any(parameter.requires_grad for parameter in parameters)
    return bool(getattr(module, "still", False))


def set_still(network: nn.Module, still: Callable[[str], bool]) -> None:
    """Note which modules without parameters, dropout above all, are in the frozen part."""
    for name, module in network.named_modules():
        if not any(True for _ in module.parameters()):
            module.still = still(name)


def _keep_still(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if module.training and is_still(module):
        module.eval()
