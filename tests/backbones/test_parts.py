"""Layers, stages and boundaries, and that frozen parts stay as they are."""

import copy
import itertools

import pytest
import torch
from torch import nn

from headstart.backbones.backbone import load_backbone
from headstart.backbones.parts import stage_names, take_apart
from headstart.errors import BackboneError, OptionError

FAMILIES = ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"]


def tiny(name):
    """Give a tiny backbone of a family, with random weights."""
    return load_backbone(name, weights="random")


def noise(backbone, count=2):
    """Give normalised images of noise."""
    size = backbone.preprocess.size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def learning(backbone):
    """Give the names of the parameters that learn."""
    return {name for name, one in backbone.network.named_parameters() if one.requires_grad}


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_two_halves_are_the_whole_at_every_stage(name):
    """Cut after any stage, the two networks one after the other give the same bits."""
    backbone = tiny(name)
    images = noise(backbone)
    whole = backbone(images)
    for after in range(1, len(stage_names(backbone.network)) + 1):
        below, above = backbone.split(after)
        assert torch.equal(above(below(images)), whole)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_halves_share_their_weights_with_the_whole(name):
    """Every parameter of a half is the very tensor of the backbone, and none is lost."""
    backbone = tiny(name)
    below, above = backbone.split(2)
    own = {id(one) for one in backbone.parameters()}
    halves = {id(one) for half in (below, above) for one in half.parameters()}
    assert halves == own
    assert not {id(one) for one in below.parameters()} & {id(one) for one in above.parameters()}


@pytest.mark.parametrize("after", [0, 6, -1])
def test_a_boundary_that_does_not_exist(after):
    """The error tells which boundaries there are."""
    with pytest.raises(OptionError) as caught:
        tiny("test_efficientnet").split(after)
    assert str(caught.value) == (
        f"There is no boundary after stage {after}: the backbone has 5 stages. Take 1 to 5."
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_stages_learn(name):
    """More stages let more parameters learn, from none to all, and the last ones first."""
    backbone = tiny(name)
    stages = len(stage_names(backbone.network))
    seen = [learning(backbone.unfreeze(f"stages:{count}")) for count in range(stages + 1)]
    assert seen[0] == set()
    assert all(fewer < more for fewer, more in itertools.pairwise(seen))
    assert seen[-1] == {name for name, _ in backbone.network.named_parameters()}
    assert learning(backbone.unfreeze("all")) == seen[-1]
    assert learning(backbone.unfreeze("none")) == set()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_stages_that_learn_are_those_above_the_boundary(name):
    """`unfreeze` and `split` mean the same boundary."""
    backbone = tiny(name)
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        below, above = backbone.unfreeze(f"stages:{count}").split(stages - count)
        assert all(one.requires_grad for one in above.parameters())
        assert not any(one.requires_grad for one in below.parameters())


def test_layers_are_counted_as_they_run():
    """layers:1 is what runs last; 10 layers of an EfficientNet reach into its last stage."""
    backbone = tiny("test_efficientnet")
    assert learning(backbone.unfreeze("layers:3")) == {"bn2.weight", "bn2.bias"}
    assert learning(backbone.unfreeze("layers:4")) == {"conv_head.weight", "bn2.weight", "bn2.bias"}
    total = len(backbone.parts().layers)
    assert learning(backbone.unfreeze(f"layers:{total}")) == learning(backbone.unfreeze("all"))


def test_freezing_counts_from_the_stem():
    """freeze and unfreeze complete each other."""
    backbone = tiny("test_resnet")
    by_freezing = learning(backbone.freeze("stages:3"))
    assert by_freezing == learning(backbone.unfreeze("stages:2"))
    assert learning(backbone.freeze("none")) == learning(backbone.unfreeze("all"))
    assert learning(backbone.freeze()) == set()


@pytest.mark.parametrize("act", ["freeze", "unfreeze"])
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("layers:999", "'layers:999' goes beyond the backbone: it has 36 layers."),
        ("stages:6", "'stages:6' goes beyond the backbone: it has 5 stages."),
        ("layers", "'layers' names no part of a backbone."),
        ("blocks:2", "'blocks:2' names no part of a backbone."),
        ("layers:-1", "'layers:-1' names no part of a backbone."),
    ],
)
def test_a_part_that_does_not_exist(act, spec, text):
    """The error tells how many there are, or what can be said."""
    with pytest.raises(OptionError) as caught:
        getattr(tiny("test_efficientnet"), act)(spec)
    assert str(caught.value).startswith(text)


def drift(backbone):
    """Give the names of the tensors that a forward pass in training changes."""
    before = {name: one.clone() for name, one in backbone.network.state_dict().items()}
    with torch.no_grad():
        backbone(noise(backbone, count=4))
    after = backbone.network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_frozen_norms_stand_still_whoever_calls_train():
    """Statistics below the boundary do not move, by the backbone, its owner or each module."""
    callers = [
        lambda backbone: backbone.train(),
        lambda backbone: nn.Sequential(backbone, nn.Linear(96, 2)).train(),
        lambda backbone: backbone.network.train(),
        lambda backbone: [module.train() for module in backbone.modules()],
    ]
    for call in callers:
        backbone = tiny("test_resnet").unfreeze("stages:1")
        call(backbone)
        moved = drift(backbone)
        assert moved
        assert all(name.startswith("layer4.") for name in moved)


def test_a_half_stands_still_too():
    """The network below a boundary stays frozen when it is run and trained on its own."""
    backbone = tiny("test_resnet").unfreeze("stages:1")
    below, _ = backbone.split(4)
    below.train()
    before = {name: one.clone() for name, one in below.state_dict().items()}
    below(noise(backbone, count=4))
    assert all(torch.equal(before[name], one) for name, one in below.state_dict().items())


def test_dropout_below_the_boundary_does_nothing():
    """A frozen part gives the same output twice in training; an unfrozen one does not."""
    backbone = tiny("test_vit")
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    backbone.train()
    images = noise(backbone)
    assert torch.equal(backbone(images), backbone(images))
    backbone.unfreeze("all").train()
    assert not torch.equal(backbone(images), backbone(images))
    backbone.freeze().network.train()
    assert torch.equal(backbone(images), backbone(images))


def test_a_copy_freezes_by_itself():
    """Unfreezing a deep copy leaves the first backbone alone."""
    backbone = tiny("test_efficientnet")
    other = copy.deepcopy(backbone).unfreeze("all").train()
    backbone.train()
    assert drift(other)
    assert not drift(backbone)


def test_gradients_reach_what_learns_and_nothing_else():
    """One backward pass through the whole leaves gradients above the boundary only."""
    backbone = tiny("test_convnext").unfreeze("stages:1").train()
    backbone(noise(backbone)).sum().backward()
    with_gradient = {
        name for name, one in backbone.network.named_parameters() if one.grad is not None
    }
    assert with_gradient == learning(backbone)


def test_a_network_that_cannot_be_traced():
    """The error says what still works."""

    class Wilful(nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    with pytest.raises(BackboneError, match="'Wilful' cannot be taken apart into layers"):
        take_apart(Wilful())


INSTEAD = "Use it frozen as a whole, train all of it, or take one of `headstart backbones`."


@pytest.mark.parametrize("part", ["stages:1", "layers:1"])
def test_stages_that_do_not_follow_one_another(part):
    """HRNet's stages run side by side: it learns as a whole or not at all."""
    backbone = tiny("hrnet_w18_small")
    for attempt in (lambda: backbone.unfreeze(part), lambda: backbone.split(1)):
        with pytest.raises(BackboneError) as caught:
            attempt()
        assert str(caught.value) == (
            "'hrnet_w18_small' cannot be taken apart into stages: they are not modules that "
            f"follow one another. {INSTEAD}"
        )
    assert learning(backbone.unfreeze("all"))


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "pit_ti_224"])
def test_stages_that_hand_on_more_than_a_map(name):
    """Where more than one value crosses a boundary, the network is not cut there."""
    with pytest.raises(BackboneError) as caught:
        tiny(name).split(1)
    assert str(caught.value) == (
        f"'{name}' cannot be cut after stage 1: more than one value crosses there. {INSTEAD}"
    )
