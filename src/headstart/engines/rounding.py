"""Round weights to bf16 with error diffusion, so that each kernel keeps its sum.

Rounding to 8 bits changes the sum of a small kernel, and with it the mean of its output, which is
most of a network's error in bf16. Adding each weight's rounding error to the next weight (error
diffusion) keeps every partial sum within one rounding error, at no cost when the network runs.
"""

import numpy as np

from headstart.arrays import Floats
from headstart.engines.quiet_openvino import ov

_KERNELS = ("Convolution", "GroupConvolution")
# In larger kernels, rounding errors cancel out.
_MAX_KERNEL = 512


def round_kernels(model: ov.Model) -> None:
    """Replace the weights of a model's convolutions by values that bf16 represents exactly."""
    for operation in model.get_ops():
        if operation.get_type_name() not in _KERNELS:
            continue
        constant = _constant(operation.input_value(1).get_node())
        if constant is None:
            continue
        weights = constant.data
        inner = 3 if operation.get_type_name() == "GroupConvolution" else 2
        kernels = weights.reshape(int(np.prod(weights.shape[: inner - 1])), -1)
        if kernels.shape[1] <= _MAX_KERNEL:
            rounded = round_with_error_diffusion(kernels).reshape(weights.shape)
            constant.output(0).replace(ov.opset8.constant(rounded).output(0))


def round_with_error_diffusion(kernels: Floats) -> Floats:
    """Round each row to bf16, adding the rounding error of each weight to the next one.

    Args:
        kernels: Shape (kernels, weights), float32.
    """
    rounded = np.empty(kernels.shape, dtype=np.float32)
    error = np.zeros(len(kernels), dtype=np.float32)
    for column in range(kernels.shape[1]):
        target = kernels[:, column] + error
        rounded[:, column] = _nearest(target)
        error = target - rounded[:, column]
    return rounded


def _nearest(values: Floats) -> Floats:
    """Round to the nearest bf16 values, ties to even: the upper half of float32's bits."""
    bits = values.astype(np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def _constant(node: ov.Node) -> ov.Node | None:
    """Return the float32 constant that a weight comes from, possibly reshaped, or None."""
    while node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    is_weight = node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32
    return node if is_weight else None
