"""What is kept of an optimiser."""

import torch

from headstart.tuning.training.checkpoint import packed_optimiser, unpack_optimiser


def test_an_optimiser_goes_on_in_any_layout():
    """Moments come back in the layout of their weights, which a fused step relies on."""

    def made():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def stepped(layer, optimiser):
        images = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        layer(images).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    layer, optimiser = made()
    stepped(layer, optimiser)
    packed = packed_optimiser(optimiser).items()
    tensors = {name: one.contiguous().clone() for name, one in packed}
    other, resumed = made()
    other.load_state_dict(layer.state_dict())
    unpack_optimiser(resumed, tensors)
    stepped(layer, optimiser)
    stepped(other, resumed)
    assert torch.equal(layer.weight, other.weight)
