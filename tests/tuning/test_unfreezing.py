"""The backbone is changed in one place, and is always put back."""

import pytest
import torch

import headstart as hs
from headstart.backbones.backbone import with_weights
from headstart.tuning.unfreezing import unfrozen
from tests.tuning.conftest import TINY


@pytest.fixture
def backbone():
    """A tiny one."""
    return hs.load_backbone(TINY, weights="random", image_size=64)


def weights(backbone):
    """Return a copy."""
    return {name: one.clone() for name, one in backbone.network.state_dict().items()}


def test_whatever_happens_it_comes_back_as_it_was(backbone):
    """Weights, layout and freezing, after an error too."""
    before = weights(backbone)
    with pytest.raises(ZeroDivisionError), unfrozen(backbone, "cpu") as training:
        training.unfreeze("stages:2")
        assert any(one.requires_grad for one in backbone.parameters())
        training.network.to(memory_format=torch.channels_last).train()
        with torch.no_grad():
            for one in backbone.parameters():
                one.add_(1)
        raise ZeroDivisionError
    after = weights(backbone)
    assert all(before[name].equal(after[name]) for name in before)
    assert all(one.is_contiguous() and not one.requires_grad for one in backbone.parameters())
    assert not backbone.training


def test_each_round_starts_from_the_original_weights(backbone):
    """What was trained can be copied out, and is undone then."""
    before = weights(backbone)
    with unfrozen(backbone, "cpu") as training:
        training.network.to(memory_format=torch.channels_last)
        with torch.no_grad():
            next(backbone.parameters()).add_(1)
        copied = training.weights()
        training.reset()
        again = training.weights()
    assert any(not before[name].equal(copied[name]) for name in before)
    assert all(before[name].equal(again[name]) for name in before)
    assert all(one.is_contiguous() for one in copied.values())


def test_a_backbone_with_other_weights_is_another_one(backbone):
    """The first keeps its own; the copy is frozen, and can be unfrozen by itself."""
    other = {name: one + 1 for name, one in weights(backbone).items()}
    before = weights(backbone)
    copy = with_weights(backbone.unfreeze("stages:1"), other)
    assert all(other[name].equal(one) for name, one in weights(copy).items())
    assert all(before[name].equal(one) for name, one in weights(backbone).items())
    assert not any(one.requires_grad for one in copy.parameters())
    assert any(one.requires_grad for one in backbone.parameters())
    assert copy.preprocess == backbone.preprocess and copy.name == backbone.name
