"""The backbone is changed in one place, and always restored."""

import pytest
import torch

import headstart as hs
from headstart.backbones.backbone import with_weights
from headstart.tuning.unfreezing import unfrozen
from tests.tuning.conftest import TINY


@pytest.fixture
def backbone():
    """A tiny backbone."""
    return hs.load_backbone(TINY, weights="random", image_size=64)


def weights(backbone):
    """Return a copy of the weights."""
    return {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}


def test_the_backbone_is_restored_after_an_error(backbone):
    """This includes weights, layout and freezing."""
    before = weights(backbone)
    with pytest.raises(ZeroDivisionError), unfrozen(backbone, "cpu") as training:
        training.unfreeze("stages:2")
        assert any(p.requires_grad for p in backbone.parameters())
        training.network.to(memory_format=torch.channels_last).train()
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.add_(1)
        raise ZeroDivisionError
    after = weights(backbone)
    assert all(before[name].equal(after[name]) for name in before)
    assert all(p.is_contiguous() and not p.requires_grad for p in backbone.parameters())
    assert not backbone.training


def test_each_round_starts_from_the_original_weights(backbone):
    """Trained weights can be copied, and are then reset."""
    before = weights(backbone)
    with unfrozen(backbone, "cpu") as training:
        training.network.to(memory_format=torch.channels_last)
        with torch.no_grad():
            next(backbone.parameters()).add_(1)
        copied = training.weights()
        training.reset()
        restored = training.weights()
    assert any(not before[name].equal(copied[name]) for name in before)
    assert all(before[name].equal(restored[name]) for name in before)
    assert all(tensor.is_contiguous() for tensor in copied.values())


def test_with_weights_returns_a_copy(backbone):
    """The original keeps its weights; the copy is frozen independently."""
    other = {name: tensor + 1 for name, tensor in weights(backbone).items()}
    before = weights(backbone)
    copy = with_weights(backbone.unfreeze("stages:1"), other)
    assert all(other[name].equal(tensor) for name, tensor in weights(copy).items())
    assert all(before[name].equal(tensor) for name, tensor in weights(backbone).items())
    assert not any(p.requires_grad for p in copy.parameters())
    assert any(p.requires_grad for p in backbone.parameters())
    assert copy.preprocess == backbone.preprocess and copy.name == backbone.name
