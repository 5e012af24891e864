"""Gradients of depthwise convolutions, computed the quick way."""

import pytest
import torch
from torch import Tensor, nn

from headstart.tuning.depthwise import QuickDepthwise

CHANNELS, IMAGES = 8, 3


def gradients(layer: nn.Conv2d, images: Tensor, *, quick: bool, bf16: bool) -> list[Tensor]:
    """Give the gradients of images and weights where the output's is drawn."""
    images = images.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        if quick:
            with QuickDepthwise():
                out = layer(images)
        else:
            out = layer(images)
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out.float() * drawn).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    return [images.grad, *(one.grad for one in layer.parameters() if one.grad is not None)]


@pytest.mark.parametrize("kernel", [3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("side", [11, 14])
def test_they_are_those_of_pytorch(kernel: int, stride: int, padded: bool, side: int) -> None:
    torch.manual_seed(0)
    padding = kernel // 2 if padded else 0
    layer = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, side, side + 2)
    exact = gradients(layer, images, quick=False, bf16=False)
    quick = gradients(layer, images, quick=True, bf16=True)
    for ours, theirs in zip(quick, exact, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).norm() < 0.01 * theirs.norm()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(CHANNELS, CHANNELS, 5, groups=2),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 5, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 3, dilation=2, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 1, 2, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 5, padding="same", groups=CHANNELS),
    ],
    ids=["grouped", "two outputs", "dilated", "one pixel", "padding by name"],
)
def test_other_convolutions_are_left_alone(layer: nn.Conv2d) -> None:
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    plain = gradients(layer, images, quick=False, bf16=True)
    for ours, theirs in zip(gradients(layer, images, quick=True, bf16=True), plain, strict=True):
        assert torch.equal(ours, theirs)


def test_float32_keeps_its_bits() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, 2, 2, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    plain = gradients(layer, images, quick=False, bf16=False)
    for ours, theirs in zip(gradients(layer, images, quick=True, bf16=False), plain, strict=True):
        assert torch.equal(ours, theirs)
