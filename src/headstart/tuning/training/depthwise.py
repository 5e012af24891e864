"""Gradients of depthwise convolutions in bf16, by convolutions that oneDNN is quick at.

oneDNN has no fast bf16 kernel for two of them. Both are put as other convolutions, of the same
products summed in another order:

- an image's gradient is an unstrided convolution of the output's gradient, with zeros between its
  pixels where the convolution was strided, by the mirrored kernel;
- the gradient of a kernel larger than 3 x 3 is put together from those of 3 x 3 parts of it.

What that gains is measured in docs/decisions/training-steps.md.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

# The largest kernel whose own gradient oneDNN is quick at in bf16.
_SIDE = 3
_Pair = tuple[int, int]


def quick_depthwise(device: torch.device) -> AbstractContextManager[object]:
    """Compute gradients of depthwise convolutions quickly inside it, under bf16 autocast on a CPU.

    Anywhere else PyTorch's own gradients are quick, and nothing is changed.
    """
    slow = (
        device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    return _QuickDepthwise() if slow else nullcontext()


class _QuickDepthwise(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Take depthwise convolutions over; leave everything else as it is."""
        if func is nn.functional.conv2d and not kwargs and _is_taken_over(*args):
            images, weight, bias, stride, padding, *_ = args
            halves = (one if one is None else one.bfloat16() for one in (images, weight, bias))
            return _Depthwise.apply(*halves, stride, padding)
        return func(*args, **(kwargs or {}))


def _is_taken_over(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> bool:
    """Return whether a call of conv2d, as modules make it, is depthwise and slow to learn."""
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
        wanted = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_images = of_weight = of_bias = None
        if wanted[0]:
            of_images = _of_images(gradient, images, weight, ctx.stride, ctx.padding)
        if wanted[1]:
            of_weight = _of_weight(gradient, images, weight, ctx.stride, ctx.padding)
        if wanted[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_images, of_weight, of_bias, None, None


def _of_images(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair
) -> Tensor:
    """Undo the stride by zeros between the pixels, then go back through the mirrored kernel."""
    sides = weight.shape[2:]
    if max(stride) > 1:
        shape = [
            size + 2 * pad - side + 1
            for size, pad, side in zip(images.shape[2:], padding, sides, strict=True)
        ]
        spread = torch.empty(
            *gradient.shape[:2],
            *shape,
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        ).zero_()
        spread[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = spread
    around = tuple(side - 1 - pad for side, pad in zip(sides, padding, strict=True))
    return nn.functional.conv2d(gradient, weight.flip(2, 3), None, 1, around, 1, len(weight))


def _of_weight(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair
) -> Tensor:
    """Compute the gradient of each 3 x 3 part of the kernel from the pixels that this part saw."""
    high, wide = padding
    padded = nn.functional.pad(images, (wide, wide, high, high))
    part = weight[:, :, :_SIDE, :_SIDE].contiguous()
    whole = torch.empty_like(weight)
    rows, columns = (
        (size - 1) * step + _SIDE for size, step in zip(gradient.shape[2:], stride, strict=True)
    )
    for top in _corners(weight.shape[2]):
        for left in _corners(weight.shape[3]):
            seen = padded[:, :, top : top + rows, left : left + columns]
            found = torch.ops.aten.convolution_backward(
                gradient,
                seen.contiguous(memory_format=torch.channels_last),
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
            whole[:, :, top : top + _SIDE, left : left + _SIDE] = cast(Tensor, found[1])
    return whole


def _corners(side: int) -> list[int]:
    """Return where parts begin that together cover a kernel's side."""
    return [*range(0, side - _SIDE, _SIDE), side - _SIDE]
