"""Store the weights of the backbone in half precision; everything is still computed in float32.

The runtimes convert them when they load a model, except PyTorch, which does so in every batch. The
head stays in float32: rounding the landmarks of a kernel changed labels.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from headstart.arrays import Anything
from headstart.features.rounding import HALF_MAX

if TYPE_CHECKING:
    import onnx

    from headstart.engines.quiet_openvino import ov
    from headstart.exporting.graph import ExportedNetwork

# Smaller tensors, such as biases, are not worth their rounding error.
_SMALLEST = 1_000


class _AsFloat(nn.Module):
    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def stored_as_half(network: ExportedNetwork) -> ExportedNetwork:
    """Return a copy of a network whose backbone has weights in half precision."""
    network = copy.deepcopy(network)
    for module in list(network.backbone.modules()):
        named = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in named:
            if _is_stored_as_half(tensor.detach().numpy()):
                kept = nn.Parameter(tensor.detach().half(), requires_grad=False)
                setattr(module, name, kept if name in module._parameters else kept.data)
                register_parametrization(module, name, _AsFloat(), unsafe=True)
    return network


def store_onnx_as_half(model: onnx.ModelProto, backbone: Container[str]) -> None:
    """Replace weights of an ONNX model by half precision and a conversion.

    Args:
        model: The model.
        backbone: The names of the nodes whose weights are replaced.
    """
    import onnx
    from onnx import helper, numpy_helper

    graph, casts = model.graph, []
    read = {name for node in graph.node if node.name in backbone for name in node.input}
    for initialiser in graph.initializer:
        values = numpy_helper.to_array(initialiser)
        if initialiser.name not in read or not _is_stored_as_half(values):
            continue
        name = initialiser.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        initialiser.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def store_openvino_as_half(model: ov.Model, backbone: Container[str]) -> None:
    """Do the same with an OpenVINO model."""
    from headstart.engines.quiet_openvino import ov

    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.f32:
            continue
        readers = [
            each.get_node().get_friendly_name() for each in node.output(0).get_target_inputs()
        ]
        if _is_stored_as_half(node.data) and any(name in backbone for name in readers):
            half = ov.opset8.constant(node.data.astype(np.float16))
            node.output(0).replace(ov.opset8.convert(half, "f32").output(0))


def _is_stored_as_half(values: Anything) -> bool:
    return (
        values.dtype == np.float32
        and values.size >= _SMALLEST
        and bool((np.abs(values) <= HALF_MAX).all())
    )
