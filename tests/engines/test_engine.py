"""Which engine and which numbers: "auto" is resolved, what cannot be is an error."""

import pytest
import torch

from headstart.engines import openvino_engine
from headstart.engines.engine import choose_device, choose_precision
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


@pytest.mark.parametrize(
    ("asked", "able", "chosen"),
    [
        ("auto", True, "bf16"),
        ("auto", False, "float32"),
        ("float32", True, "float32"),
        ("float32", False, "float32"),
        ("bf16", True, "bf16"),
    ],
)
def test_precision_follows_the_processor(monkeypatch, asked, able, chosen):
    """bf16 is taken only where the processor computes in it."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: able)
    assert choose_precision(asked, "cpu") == chosen


def test_bf16_that_the_processor_lacks_is_an_error(monkeypatch):
    """Asking for bf16 without the instructions says what to use."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: False)
    with pytest.raises(OptionError) as caught:
        choose_precision("bf16", "cpu")
    assert str(caught.value) == (
        "precision 'bf16' is asked for, but this cpu does not compute in it. Use 'float32'."
    )


@without_gpu
def test_an_unknown_device_is_an_error():
    """A device that does not exist is not taken for "auto"."""
    with pytest.raises(OptionError, match="gpu"):
        choose_device("gpu")


def test_an_unknown_precision_is_an_error():
    """A precision that does not exist is not taken for "auto"."""
    with pytest.raises(OptionError, match="fp16"):
        choose_precision("fp16", "cpu")
