"""Finding the fastest setting for a training step."""

import numpy as np
import pytest
import torch

from headstart.tuning.pacing import timing
from headstart.tuning.pacing.timing import Setting, fastest_setting


def test_timing_of_a_far_too_slow_setting_is_cut_short(monkeypatch):
    """After the warm-up it is timed for one step, other settings for two."""
    clock, steps = iter(np.arange(0, 1000, 0.5)), []

    class Slow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, rows):
            steps.append(torch.get_num_threads())
            for _ in range(20 if torch.get_num_threads() == 1 else 0):
                next(clock)
            return rows * self.weight

    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    settings = [Setting(threads=2), Setting(threads=1, channels_last=False)]
    before = torch.get_num_threads()
    found = fastest_setting(Slow(), torch.ones(4, 3), torch.Tensor.sum, settings)
    assert steps == [2, 2, 2, 1, 1]
    assert found.name == settings[0].name and found.rate == 4 / 0.5
    assert torch.get_num_threads() == before


def test_timing_does_not_change_weights_and_statistics():
    """Training starts from the given network, whatever was timed."""
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fastest_setting(network, torch.rand(4, 3), torch.Tensor.sum, [Setting()])
    assert all(before[name].equal(tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_timing_that_is_interrupted_leaves_them_too():
    """A Ctrl-C between two steps changes neither weights nor statistics, and leaves no gradient."""

    def interrupted(scores):
        scores.sum().backward(retain_graph=True)
        raise KeyboardInterrupt

    network = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        fastest_setting(network, torch.rand(4, 3), interrupted, [Setting()])
    assert all(before[name].equal(tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
