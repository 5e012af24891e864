"""What training changes in a network, which is kept and restored."""

import torch
from torch import nn

from headstart.tuning.training.network import HeadedNetwork, zero_head


class Attention(nn.Module):
    """A layer with statistics and, like Swin's attention, a constant that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("statistic", torch.zeros(2))
        self.register_buffer("positions", torch.arange(2), persistent=False)


def test_only_saved_buffers_of_trainable_layers_belong_to_the_state():
    """Constants are in no saved network, so a kept state must not ask for them."""
    above = nn.Sequential(Attention().requires_grad_(False), Attention())
    network = HeadedNetwork(above, zero_head(2, 2), slice(0, 2))
    state = network.copy_trained_state()
    assert {name for name in state if name.startswith("above")} == {
        "above.1.weight",
        "above.1.statistic",
    }
    assert state.keys() <= network.state_dict().keys()
    above[1].statistic += 1
    network.load_trained_state(state)
    assert above[1].statistic.tolist() == [0, 0]
