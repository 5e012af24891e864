"""Which device: "auto" is resolved, what cannot be is an error."""

import pytest
import torch

from headstart.engines.devices import choose_device
from headstart.errors import OptionError

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
def test_auto_is_the_cpu_without_a_gpu():
    """Without a GPU, "auto" and "cpu" are the CPU."""
    assert choose_device("auto") == choose_device("cpu") == "cpu"


@without_gpu
def test_a_gpu_that_is_not_there_is_an_error():
    """Asking for "cuda" without one says what to use."""
    with pytest.raises(OptionError) as caught:
        choose_device("cuda")
    assert str(caught.value) == (
        "device 'cuda' is asked for, but torch finds no CUDA GPU. Use 'cpu'."
    )


@without_gpu
def test_an_unknown_device_is_an_error():
    """A device that does not exist is not taken for "auto"."""
    with pytest.raises(OptionError, match="gpu"):
        choose_device("gpu")
