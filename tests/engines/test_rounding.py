"""Rounding of weights to bf16."""

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from headstart.engines.openvino_engine import OpenVinoEngine, cpu_has_bf16
from headstart.engines.rounding import diffused, round_kernels

KERNELS = arrays(np.float32, (4, 27), elements=st.floats(-2, 2, width=32, allow_subnormal=False))


@given(KERNELS)
def test_what_is_rounded_is_a_number_of_bf16(kernels):
    """The lower half of float32's bits is empty."""
    assert not (diffused(kernels).view(np.uint32) & 0xFFFF).any()


@given(KERNELS)
def test_a_kernel_keeps_its_sum(kernels):
    """Up to one rounding of its last weight, where plain rounding may lose one for each weight."""
    lost = np.abs(diffused(kernels).sum(axis=1) - kernels.sum(axis=1))
    assert (lost <= 2**-8 * 2 + 1e-5).all()


def test_torch_agrees_on_the_nearest_number():
    """Where nothing is carried, rounding is torch's."""
    column = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    expected = torch.from_numpy(column).bfloat16().float().numpy()
    np.testing.assert_array_equal(diffused(column), expected)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this processor has no bf16")
def test_features_in_bf16_are_nearer_with_it(tmp_path, monkeypatch):
    """A stem of small kernels, run in bf16, is nearer to float32 than by plain rounding."""

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


def test_large_kernels_and_other_weights_stay():
    """A dense layer and a convolution of many channels are as they were."""
    images = ov.opset8.parameter([1, 600, 8, 8], np.float32)
    weights = np.random.default_rng(0).normal(size=(4, 600, 1, 1)).astype(np.float32)
    ones, zeros = [1, 1], [0, 0]
    result = ov.opset8.convolution(images, weights, ones, zeros, zeros, ones)
    model = ov.Model([result], [images])
    round_kernels(model)
    found = result.input_value(1).get_node().data
    np.testing.assert_array_equal(found, weights)
