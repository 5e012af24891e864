"""Weights rounded to bf16 so that each kernel keeps its sum.

Rounding to 8 bits moves the sum of a small kernel, and with it the mean of everything that it
computes, which is most of a network's error in bf16. Handing each weight's rounding error on to
the next one (error diffusion) keeps every partial sum within one rounding, at no cost when the
network runs.
"""

import numpy as np

from headstart.arrays import Floats
from headstart.engines.quiet_openvino import ov

_KERNELS = ("Convolution", "GroupConvolution")
# In larger kernels the errors cancel by themselves.
_LARGEST = 512


def round_kernels(model: ov.Model) -> None:
    """Replace the weights of a model's convolutions by numbers that bf16 holds exactly."""
    for operation in model.get_ops():
        if operation.get_type_name() not in _KERNELS:
            continue
        constant = _constant(operation.input_value(1).get_node())
        if constant is None:
            continue
        weights = constant.data
        inner = 3 if operation.get_type_name() == "GroupConvolution" else 2
        kernels = weights.reshape(int(np.prod(weights.shape[: inner - 1])), -1)
        if kernels.shape[1] <= _LARGEST:
            rounded = diffused(kernels).reshape(weights.shape)
            constant.output(0).replace(ov.opset8.constant(rounded).output(0))


def diffused(kernels: Floats) -> Floats:
    """Round each row to bf16, handing on what every number loses: (kernels, weights), float32."""
    out = np.empty(kernels.shape, dtype=np.float32)
    carried = np.zeros(len(kernels), dtype=np.float32)
    for column in range(kernels.shape[1]):
        wanted = kernels[:, column] + carried
        out[:, column] = _nearest(wanted)
        carried = wanted - out[:, column]
    return out


def _nearest(values: Floats) -> Floats:
    """Return the nearest numbers of bf16, ties to even: the upper half of float32's bits."""
    bits = values.astype(np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def _constant(node: ov.Node) -> ov.Node | None:
    """Return the constant behind a weight, through reshapes of it, if it is one in float32."""
    while node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    is_weight = node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32
    return node if is_weight else None
