"""Rounding of weights to bf16 with error diffusion."""

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from headstart.engines.openvino_engine import OpenVinoEngine, cpu_has_bf16
from headstart.engines.rounding import round_kernels, round_with_error_diffusion

KERNELS = arrays(np.float32, (4, 27), elements=st.floats(-2, 2, width=32, allow_subnormal=False))


@given(KERNELS)
def test_rounded_weights_are_bf16_values(kernels):
    """The lower half of float32's bits is zero."""
    assert not (round_with_error_diffusion(kernels).view(np.uint32) & 0xFFFF).any()


@given(KERNELS)
def test_a_kernel_keeps_its_sum(kernels):
    """The sum changes by at most the rounding error of a single weight."""
    lost = np.abs(round_with_error_diffusion(kernels).sum(axis=1) - kernels.sum(axis=1))
    assert (lost <= 2**-8 * 2 + 1e-5).all()


def test_single_weights_are_rounded_like_in_torch():
    """Without an error to pass on, rounding equals PyTorch's."""
    column = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    expected = torch.from_numpy(column).bfloat16().float().numpy()
    np.testing.assert_array_equal(round_with_error_diffusion(column), expected)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this processor has no bf16")
def test_error_diffusion_improves_features_in_bf16(tmp_path, monkeypatch):
    """The output of small kernels is closer to float32 than with plain rounding."""

    class Stem(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, 64, 3, padding=1)

        def forward(self, images):
            return self.convolution(images.permute(0, 3, 1, 2).float()).mean((2, 3))

    network = Stem().eval()
    images = np.full((4, 32, 32, 3), 200, dtype=np.uint8)
    with torch.inference_mode():
        truth = network(torch.from_numpy(images)).numpy()

    def error(key):
        engine = OpenVinoEngine(lambda: network, size=32, precision="bf16", cache=tmp_path, key=key)
        (found,) = engine.run([images])
        return np.square(found - truth).mean()

    diffuse = error("diffused")
    monkeypatch.setattr("headstart.engines.openvino_engine.round_kernels", lambda model: None)
    assert diffuse < error("plain")


def test_large_kernels_are_unchanged():
    """The weights of a convolution with many channels are not rounded."""
    images = ov.opset8.parameter([1, 600, 8, 8], np.float32)
    weights = np.random.default_rng(0).normal(size=(4, 600, 1, 1)).astype(np.float32)
    ones, zeros = [1, 1], [0, 0]
    result = ov.opset8.convolution(images, weights, ones, zeros, zeros, ones)
    model = ov.Model([result], [images])
    round_kernels(model)
    found = result.input_value(1).get_node().data
    np.testing.assert_array_equal(found, weights)
