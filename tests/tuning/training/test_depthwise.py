"""Fast gradients of depthwise convolutions."""

import pytest
import torch
from timm.layers import create_conv2d
from torch import Tensor, nn

from headstart.tuning.training.depthwise import fast_depthwise

CHANNELS, IMAGES = 8, 3
ROUNDED = 0.01  # Rounding error of bf16.


def run(layer: nn.Module, images: Tensor, *, fast: bool) -> Tensor:
    """Return the layer's output under bf16 autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        if not fast:
            return layer(images)
        with fast_depthwise(images.device):
            return layer(images)


def has_fast_gradient(out: Tensor) -> bool:
    """Return whether the fast gradient is used for an output."""
    return type(out.grad_fn).__name__ == "_DepthwiseBackward"


def gradients(layer: nn.Module, images: Tensor, out: Tensor) -> list[Tensor]:
    """Return the gradients for a random gradient of the output."""
    layer.zero_grad()
    images.grad = None
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out.float() * drawn).sum().backward()  # type: ignore[no-untyped-call]
    return [t.grad.clone() for t in (images, *layer.parameters()) if t.grad is not None]


def max_error(layer: nn.Module, images: Tensor) -> float:
    """Return the largest relative error of fast gradients against PyTorch's in float32."""
    exact = gradients(layer, images, layer(images))
    out = run(layer, images, fast=True)
    assert has_fast_gradient(out)
    pairs = list(zip(gradients(layer, images, out), exact, strict=True))
    assert all(ours.dtype == theirs.dtype for ours, theirs in pairs)
    return max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs)


@pytest.mark.parametrize("kernel", [4, 5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("side", [11, 14])
def test_gradients_agree_with_pytorch(kernel: int, stride: int, padded: bool, side: int) -> None:
    torch.manual_seed(0)
    padding = kernel // 2 if padded else 0
    layer = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, side, side + 2, requires_grad=True)
    assert max_error(layer, images) < ROUNDED


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
def test_gradients_agree_for_different_layers(
    layer: nn.Module, layout: torch.memory_format
) -> None:
    images = torch.randn(IMAGES, CHANNELS, 12, 15).contiguous(memory_format=layout)
    assert max_error(layer, images.requires_grad_()) < ROUNDED


def test_images_need_no_gradient() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS)
    assert max_error(layer, torch.randn(IMAGES, CHANNELS, 12, 12)) < ROUNDED


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
def test_other_convolutions_are_not_replaced(layer: nn.Module) -> None:
    out = run(layer, torch.randn(IMAGES, CHANNELS, 12, 12), fast=True)
    assert not has_fast_gradient(out)


def test_direct_calls_of_conv2d() -> None:
    """Calls that modules do not make work too."""
    weight = torch.randn(1, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), fast_depthwise(weight.device):
        out = nn.functional.conv2d(torch.randn(2, 1, 9, 9), weight, None, (2, 2), (1, 1))
        unbatched = nn.functional.conv2d(torch.randn(1, 9, 9), weight, None, (2, 2), (1, 1))
    assert out.shape == (2, 1, 4, 4) and unbatched.shape == (1, 4, 4)


def test_the_context_can_be_nested() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    with torch.autocast("cpu", torch.bfloat16), fast_depthwise(images.device):
        out = run(layer, images, fast=True)
    assert has_fast_gradient(out)


def test_nothing_changes_in_float32_or_without_gradients() -> None:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 5, 2, 2, groups=CHANNELS)
    images = torch.randn(IMAGES, CHANNELS, 12, 12)
    with fast_depthwise(images.device):
        assert not has_fast_gradient(layer(images))
    with torch.no_grad():
        assert torch.equal(run(layer, images, fast=True), run(layer, images, fast=False))
