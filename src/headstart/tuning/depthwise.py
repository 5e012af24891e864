"""Gradients of depthwise convolutions in bf16, taken a way that processors are quick at.

oneDNN has no fast bf16 kernel for two of them. Both can be put as convolutions that it is quick
at, with the same products, summed in another order:

- the input's gradient of a strided convolution is an unstrided one of the output's gradient, with
  zeros put between its pixels, by the mirrored kernel;
- the gradient of a kernel larger than 3 x 3 is put together from those of 3 x 3 parts of it.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SIDE = 3
_Pair = tuple[int, int]


class QuickDepthwise(TorchFunctionMode):
    """While it is entered, depthwise convolutions under bf16 autocast on CPU learn quickly."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Take depthwise convolutions over; leave everything else as it is."""
        if func is nn.functional.conv2d and not kwargs and _is_meant(*args):
            images, weight, bias, stride, padding, *_ = args
            return _Depthwise.apply(images, weight, bias, tuple(stride), tuple(padding))
        return func(*args, **(kwargs or {}))


def _is_meant(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,  # noqa: ANN401
    padding: Any = 0,  # noqa: ANN401
    dilation: Any = 1,  # noqa: ANN401
    groups: int = 1,
) -> bool:
    """Tell whether a call of conv2d, as modules make it, is one to take over."""
    return (
        images.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and groups == images.shape[1] == weight.shape[0]
        and isinstance(stride, tuple)
        and isinstance(padding, tuple)
        and tuple(dilation) == (1, 1)
        and min(weight.shape[2:]) >= _SIDE
        and all(pad < side for pad, side in zip(padding, weight.shape[2:], strict=True))
        and (max(stride) > 1 or max(weight.shape[2:]) > _SIDE)
    )


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
        out = nn.functional.conv2d(images, weight, bias, stride, padding, 1, len(weight))
        ctx.save_for_backward(images.to(out.dtype), weight.to(out.dtype))
        ctx.stride, ctx.padding = stride, padding
        return out

    @staticmethod
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
    sides = weight.shape[2:]
    if max(stride) > 1:
        shape = [
            size + 2 * pad - side + 1
            for size, pad, side in zip(images.shape[2:], padding, sides, strict=True)
        ]
        spread = torch.zeros(*gradient.shape[:2], *shape, dtype=gradient.dtype).to(
            memory_format=torch.channels_last
        )
        spread[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = spread
    around = tuple(side - 1 - pad for side, pad in zip(sides, padding, strict=True))
    return nn.functional.conv2d(gradient, weight.flip(2, 3), None, 1, around, 1, len(weight))


def _of_weight(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair
) -> Tensor:
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
    """Give where parts begin that cover a kernel's side between them."""
    return [*range(0, side - _SIDE, _SIDE), side - _SIDE]
