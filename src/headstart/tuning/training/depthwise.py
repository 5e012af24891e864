"""Fast gradients of depthwise convolutions in bf16 on a CPU.

oneDNN has no fast bf16 kernel for two of these gradients. Both are rewritten as other convolutions,
which sum the same products in a different order.

- The gradient of the images is the output's gradient, convolved with the flipped kernel without a
  stride. If the convolution had a stride, zeros are inserted between the gradient's pixels first.
- The gradient of a kernel larger than 3 x 3 is assembled from the gradients of its 3 x 3 parts.

The speedup is measured in docs/decisions/training-steps.md.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

# The largest kernel whose gradient is fast in oneDNN in bf16.
_SIDE = 3
_Pair = tuple[int, int]


def fast_depthwise(device: torch.device) -> AbstractContextManager[object]:
    """Return a context with fast gradients of depthwise convolutions under bf16 autocast on CPU.

    In all other cases PyTorch's own gradients are fast, and the context does nothing.
    """
    slow = (
        device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    return _FastDepthwise() if slow else nullcontext()


class _FastDepthwise(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Replace slow depthwise convolutions; call everything else unchanged."""
        if func is nn.functional.conv2d and not kwargs and _is_slow_depthwise(*args):
            images, weight, bias, stride, padding, *_ = args
            tensors = (None if t is None else t.bfloat16() for t in (images, weight, bias))
            return _Depthwise.apply(*tensors, stride, padding)
        return func(*args, **(kwargs or {}))


def _is_slow_depthwise(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> bool:
    """Return whether a conv2d call from a module is depthwise and has slow gradients."""
    sides = weight.shape[2:]
    return (
        groups == images.shape[1] == weight.shape[0]
        and images.ndim == 4
        and _is_pair(stride)
        and _is_pair(padding)
        and dilation in (1, (1, 1))
        and min(sides) >= _SIDE
        and all(pad < side for pad, side in zip(padding, sides, strict=True))
        and (max(stride) > 1 or max(sides) > _SIDE)
    )


def _is_pair(value: object) -> TypeGuard[_Pair]:
    return isinstance(value, tuple) and len(value) == 2


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: _Pair,
        padding: _Pair,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(images, weight, bias, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        images, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        images_gradient = weight_gradient = bias_gradient = None
        if needed[0]:
            images_gradient = _image_gradient(gradient, images, weight, ctx.stride, ctx.padding)
        if needed[1]:
            weight_gradient = _weight_gradient(gradient, images, weight, ctx.stride, ctx.padding)
        if needed[2]:
            bias_gradient = gradient.sum((0, 2, 3))
        return images_gradient, weight_gradient, bias_gradient, None, None


def _image_gradient(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair
) -> Tensor:
    """Insert zeros between the pixels for the stride, then convolve with the flipped kernel."""
    sides = weight.shape[2:]
    if max(stride) > 1:
        shape = [
            size + 2 * pad - side + 1
            for size, pad, side in zip(images.shape[2:], padding, sides, strict=True)
        ]
        dilated = torch.empty(
            *gradient.shape[:2],
            *shape,
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        ).zero_()
        dilated[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = dilated
    full_padding = tuple(side - 1 - pad for side, pad in zip(sides, padding, strict=True))
    return nn.functional.conv2d(gradient, weight.flip(2, 3), None, 1, full_padding, 1, len(weight))


def _weight_gradient(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair
) -> Tensor:
    """Compute the gradient of each 3 x 3 part of the kernel from the pixels that it covers."""
    high, wide = padding
    padded = nn.functional.pad(images, (wide, wide, high, high))
    part = weight[:, :, :_SIDE, :_SIDE].contiguous()
    whole = torch.empty_like(weight)
    rows, columns = (
        (size - 1) * step + _SIDE for size, step in zip(gradient.shape[2:], stride, strict=True)
    )
    for top in _corners(weight.shape[2]):
        for left in _corners(weight.shape[3]):
            covered = padded[:, :, top : top + rows, left : left + columns]
            gradients = torch.ops.aten.convolution_backward(
                gradient,
                covered.contiguous(memory_format=torch.channels_last),
                part,
                None,
                stride,
                (0, 0),
                (1, 1),
                False,
                (0, 0),
                len(weight),
                (False, True, False),
            )
            whole[:, :, top : top + _SIDE, left : left + _SIDE] = cast(Tensor, gradients[1])
    return whole


def _corners(side: int) -> list[int]:
    """Return the start positions of parts that together cover a side of the kernel."""
    return [*range(0, side - _SIDE, _SIDE), side - _SIDE]
