"""The layers and stages of a network in order of execution, and the boundaries between them.

Every architecture is traced with torch.fx. A layer is a module that contains no other layers. A
stage ends at a module that timm's `feature_info` names. A boundary is a node of the traced graph.
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

_INSTEAD = "Freeze or train the whole network, or use a backbone from `headstart backbones`."
_SPEC = re.compile(r"(stages|layers):(\d+)")


class _Tracer(fx.Tracer):
    """Traces down to layers but not into them, so that they can behave differently in training."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self._opaque = tuple(get_notrace_modules())
        # The functions not to trace into are defined in the module of the network's class, even if
        # a module around the network is traced.
        self._autowrap_search.append(sys.modules[type(network).__module__])

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See `torch.fx.Tracer`."""
        if isinstance(m, self._opaque) or super().is_leaf_module(m, module_qualified_name):
            return True
        has_inner_layers = any(_has_tensors(child) for child in m.modules() if child is not m)
        return not has_inner_layers and (_has_tensors(m) or not any(m.children()))


@dataclass(frozen=True)
class Parts:
    """The layers and stages of a network.

    Attributes:
        network: The module.
        graph: Its graph, from normalised images to the output.
        layers: The layers in order of execution, without those that do nothing.
        stages: The last node of each stage, from the stem up.
    """

    network: nn.Module
    graph: fx.Graph
    layers: tuple[fx.Node, ...]
    stages: tuple[fx.Node, ...]

    def first_trainable(self, spec: str) -> fx.Node | None:
        """Return the first node of the trainable part, or None if nothing is trainable.

        Args:
            spec: "all", "none", or the last N parts: "stages:N" or "layers:N".

        Raises:
            OptionError: The specification is invalid, or the network has fewer parts.
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
                f"'{spec}' exceeds the backbone, which has {len(own)} {kind}. "
                f"Use at most {kind}:{len(own)}, or all."
            )
        if kind == "layers":
            return own[-count]
        return nodes[0] if count == len(own) else own[-count - 1].next

    def stages_below(self, spec: str) -> int:
        """Return the number of stages that are entirely below the trainable part of `spec`."""
        first = self.first_trainable(spec)
        nodes = list(self.graph.nodes)
        if first is None:
            return len(self.stages)
        return sum(nodes.index(end) < nodes.index(first) for end in self.stages)

    def frozen_below(self, first: fx.Node | None) -> tuple[set[str], set[str]]:
        """Return the names of the frozen parameters and of the frozen layers.

        Args:
            first: The first node of the trainable part.
        """
        trainable, frozen_layers = set[str](), set[str]()
        modules = dict(self.network.named_modules())
        below = True
        for node in self.graph.nodes:
            below = below and node is not first
            if node.op == "call_module" and below:
                frozen_layers.add(str(node.target))
            elif node.op == "call_module":
                inner = modules[str(node.target)].named_parameters()
                trainable.update(f"{node.target}.{name}" for name, _ in inner)
                frozen_layers.discard(str(node.target))
            elif node.op == "get_attr" and not below:
                trainable.add(str(node.target))
        parameters = {name for name, _ in self.network.named_parameters()}
        return parameters - trainable, frozen_layers

    def split(self, after: int) -> tuple[fx.GraphModule, fx.GraphModule]:
        """Split the network after a stage, counted from 1 at the stem.

        Returns:
            Two networks that share the weights of the whole: the first computes the stage's map
            from normalised images, the second computes the pooled output from that map.

        Raises:
            OptionError: There is no such stage.
            BackboneError: More than one value crosses the boundary.
        """
        if not 1 <= after <= len(self.stages):
            raise OptionError(
                f"There is no boundary after stage {after}: the backbone has "
                f"{len(self.stages)} stages. Use 1 to {len(self.stages)}."
            )
        crossing = crossing_nodes(self.graph, self.stages[after - 1])
        if len(crossing) > 1:
            raise BackboneError(
                f"'{_name(self.network)}' cannot be split after stage {after}: more than one value "
                f"crosses the boundary. {_INSTEAD}"
            )
        halves = cut(self.graph, crossing)
        return (
            fx.GraphModule(self.network, halves.below),
            fx.GraphModule(self.network, halves.above),
        )


def trace_parts(network: nn.Module) -> Parts:
    """Trace a network without its classifier, and find its layers and stages.

    Raises:
        BackboneError: torch.fx cannot trace it, or its stages are not consecutive.
    """
    graph = trace(network, network)
    modules = dict(network.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    layers = [node for node in calls if not _does_nothing(modules[str(node.target)])]
    ends = [last_node_in(graph, stage, network) for stage in stage_names(network)]
    return Parts(network, graph, tuple(layers), tuple(ends))


def trace(module: nn.Module, network: nn.Module) -> fx.Graph:
    """Return the graph of a network, or of a module around it.

    Raises:
        BackboneError: torch.fx cannot trace it.
    """
    try:
        return _Tracer(network).trace(module, concrete_args=_defaults(module))
    except Exception as error:  # Tracing runs the network's own code, which may raise anything.
        raise BackboneError(
            f"'{_name(network)}' cannot be split into layers: {error}. {_INSTEAD}"
        ) from None


def stage_names(network: nn.Module) -> list[str]:
    """Return the name of the last module of each stage, from timm's `feature_info`."""
    info = getattr(network, "feature_info", [])
    return [str(stage["module"]) for stage in getattr(info, "info", info)]


def _parse(spec: str) -> tuple[str, int]:
    if spec in ("all", "none"):
        return spec, 0
    match = _SPEC.fullmatch(spec)
    if not match:
        raise OptionError(
            f"'{spec}' is not a part of a backbone. Use all, none, stages:N or layers:N."
        )
    return match[1], int(match[2])


def _defaults(network: nn.Module) -> dict[str, Any]:
    """Return the defaults of the parameters of `forward` after the images."""
    _, *others = inspect.signature(network.forward).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in others
        if parameter.default is not parameter.empty
    }


def _has_tensors(module: nn.Module) -> bool:
    """Return whether a module itself has parameters or buffers."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(tensors)


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or (
        isinstance(module, nn.Sequential) and not len(module)
    )


def last_node_in(graph: fx.Graph, stage: str, network: nn.Module) -> fx.Node:
    """Return the last node inside a module.

    Raises:
        BackboneError: There is none, as the network's stages are not consecutive modules.
    """
    inside = [
        node
        for node in graph.nodes
        if any(name == stage for name, _ in node.meta.get("nn_module_stack", {}).values())
    ]
    if not inside:
        raise BackboneError(
            f"'{_name(network)}' cannot be split into stages: they are not consecutive modules. "
            f"{_INSTEAD}"
        )
    end: fx.Node = inside[-1]
    return end


def _name(network: nn.Module) -> str:
    settings: Any = getattr(network, "pretrained_cfg", {})
    return str(settings.get("architecture") or type(network).__name__)


def keep_frozen_in_eval_mode(network: nn.Module) -> None:
    """Keep frozen layers in evaluation mode, even if `train()` is called on them.

    Otherwise their statistics would drift although their weights are frozen, the classic failure
    of fine-tuning with batch norm (Keras issue 9214, torchvision issue 2079).
    """
    if getattr(network, "has_eval_hooks", False):
        return
    network.has_eval_hooks = True  # type: ignore[assignment]
    for module in network.modules():
        if _has_tensors(module) or not any(module.children()):
            module.register_forward_pre_hook(_set_eval_mode)


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module is frozen: by its parameters, or by `mark_frozen` if it has none."""
    parameters = list(module.parameters())
    if parameters:
        return not any(parameter.requires_grad for parameter in parameters)
    return bool(getattr(module, "frozen", False))


def mark_frozen(network: nn.Module, frozen: Callable[[str], bool]) -> None:
    """Mark the modules without parameters, such as dropout, that are in the frozen part."""
    for name, module in network.named_modules():
        if not any(True for _ in module.parameters()):
            module.frozen = frozen(name)


def _set_eval_mode(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if module.training and is_frozen(module):
        module.eval()
