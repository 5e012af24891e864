"""Choice of the device: "auto" is resolved, and an unavailable device is an error."""

import pytest
import torch

from headstart.engines.devices import choose_device
from headstart.errors import OptionError

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
def test_auto_is_the_cpu_without_a_gpu():
    """Without a GPU, "auto" and "cpu" both choose the CPU."""
    assert choose_device("auto") == choose_device("cpu") == "cpu"


@without_gpu
def test_a_missing_gpu_is_an_error():
    """The error for "cuda" without a GPU says what to use."""
    with pytest.raises(OptionError) as caught:
        choose_device("cuda")
    assert str(caught.value) == (
        "device 'cuda' was requested, but torch finds no CUDA GPU. Use 'cpu'."
    )


@without_gpu
def test_an_unknown_device_is_an_error():
    """An unknown device is not treated like "auto"."""
    with pytest.raises(OptionError, match="gpu"):
        choose_device("gpu")
