"""Gradients of depthwise convolutions, computed the quick way."""

import pytest
import torch
from timm.layers import create_conv2d
from torch import Tensor, nn

from headstart.tuning.training.depthwise import quick_depthwise

CHANNELS, IMAGES = 8, 3
ROUNDED = 0.01  # What bf16 rounds off.


def run(layer: nn.Module, images: Tensor, *, quick: bool) -> Tensor:
    """Give the layer's output under bf16 autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        if not quick:
            return layer(images)
        with quick_depthwise(images.device):
            return layer(images)


def is_taken_over(out: Tensor) -> bool:
    """Tell whether an output's gradient is computed the quick way."""
    return type(out.grad_fn).__name__ == "_DepthwiseBackward"


def learnt(layer: nn.Module, images: Tensor, out: Tensor) -> list[Tensor]:
    """Give the gradients of what learns, where the output's is drawn."""
    layer.zero_grad()
    images.grad = None
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out.float() * drawn).sum().backward()  # type: ignore[no-untyped-call]
    return [one.grad.clone() for one in (images, *layer.parameters()) if one.grad is not None]


def apart(layer: nn.Module, images: Tensor) -> float:
    """Give how far quick gradients are from PyTorch's in float32, relative, the worst of them."""
    exact = learnt(layer, images, layer(images))
    out = run(layer, images, quick=True)
    assert is_taken_over(out)
    pairs = list(zip(learnt(layer, images, out), exact, strict=True))
    assert all(ours.dtype == theirs.dtype for ours, theirs in pairs)
    return max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs)


@pytest.mark.parametrize("kernel", [4, 5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("side", [11, 14])
def test_they_are_those_of_pytorch(kernel: int, stride: int, padded: bool, side: int) -> None:
    torch.manual_seed(0)
    padding = kernel // 2 if padded else 0
    layer = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, side, side + 2, requires_grad=True)
    assert apart(layer, images) < ROUNDED


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS, bias=False),
        nn.Conv2d(CHANNELS, CHANNELS, (3, 5), (2, 1), (1, 0), groups=CHANNELS),
        create_conv2d(CHANNELS, CHANNELS, 5, stride=2, padding="same", depthwise=True),
        nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS).requires_grad_(False),
    ],
    ids=["3 x 3 strided", "no bias", "rectangular", "padded like TensorFlow", "frozen"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_all_the_ways_that_layers_are_made(
    layer: nn.Module, layout: torch.memory_format
) -> None:
    images = torch.randn(IMAGES, CHANNELS, 12, 15).contiguous(memory_format=layout)
    assert apart(layer, images.requires_grad_()) < ROUNDED


def test_images_need_not_learn() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS)
    assert apart(layer, torch.randn(IMAGES, CHANNELS, 12, 12)) < ROUNDED


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 5, groups=2),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 5, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 5, dilation=2, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 1, 2, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 5, padding="same", groups=CHANNELS),
    ],
    ids=["3 x 3", "grouped", "two outputs", "dilated", "one pixel", "padding by name"],
)
def test_other_convolutions_are_left_alone(layer: nn.Module) -> None:
    out = run(layer, torch.randn(IMAGES, CHANNELS, 12, 12), quick=True)
    assert not is_taken_over(out)


def test_one_channel_and_one_image_alone() -> None:
    """Calls of conv2d that no module makes are none of its business."""
    weight = torch.randn(1, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise(weight.device):
        out = nn.functional.conv2d(torch.randn(2, 1, 9, 9), weight, None, (2, 2), (1, 1))
        alone = nn.functional.conv2d(torch.randn(1, 9, 9), weight, None, (2, 2), (1, 1))
    assert out.shape == (2, 1, 4, 4) and alone.shape == (1, 4, 4)


def test_it_can_be_entered_twice() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise(images.device):
        out = run(layer, images, quick=True)
    assert is_taken_over(out)


def test_nothing_is_changed_in_float32_or_where_nothing_learns() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, 2, 2, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    with quick_depthwise(images.device):
        assert not is_taken_over(layer(images))
    with torch.no_grad():
        assert torch.equal(run(layer, images, quick=True), run(layer, images, quick=False))
