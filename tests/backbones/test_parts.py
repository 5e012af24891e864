"""Layers, stages and boundaries, and frozen parts that do not change."""

import copy
import itertools

import pytest
import torch
from torch import nn

from headstart.backbones.backbone import load_backbone
from headstart.backbones.parts import stage_names, trace_parts
from headstart.errors import BackboneError, OptionError

FAMILIES = ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"]


def tiny(name):
    """Load a backbone with random weights."""
    return load_backbone(name, weights="random")


def noise(backbone, count=2):
    """Return normalised images of noise."""
    size = backbone.preprocess.size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def trainable(backbone):
    """Return the names of the trainable parameters."""
    return {
        name for name, parameter in backbone.network.named_parameters() if parameter.requires_grad
    }


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_two_halves_equal_the_whole_at_every_stage(name):
    """Split after any stage, the two networks in sequence compute exactly the same output."""
    backbone = tiny(name)
    images = noise(backbone)
    whole = backbone(images)
    for after in range(1, len(stage_names(backbone.network)) + 1):
        below, above = backbone.split(after)
        assert torch.equal(above(below(images)), whole)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_halves_share_their_weights_with_the_whole(name):
    """The parameters of the halves are the same tensors as those of the backbone."""
    backbone = tiny(name)
    whole, below, above = (
        {id(parameter) for parameter in network.parameters()}
        for network in (backbone, *backbone.split(2))
    )
    assert below | above == whole
    assert not below & above


@pytest.mark.parametrize("after", [0, 6, -1])
def test_a_boundary_that_does_not_exist(after):
    """The error names the possible boundaries."""
    with pytest.raises(OptionError) as caught:
        tiny("test_efficientnet").split(after)
    assert str(caught.value) == (
        f"There is no boundary after stage {after}: the backbone has 5 stages. Use 1 to 5."
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_stages_are_trainable(name):
    """With more stages, more parameters are trainable, from none to all."""
    backbone = tiny(name)
    stages = len(stage_names(backbone.network))
    seen = [trainable(backbone.unfreeze(f"stages:{count}")) for count in range(stages + 1)]
    assert seen[0] == set()
    assert all(fewer < more for fewer, more in itertools.pairwise(seen))
    assert seen[-1] == {name for name, _ in backbone.network.named_parameters()}
    assert trainable(backbone.unfreeze("all")) == seen[-1]
    assert trainable(backbone.unfreeze("none")) == set()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_trainable_stages_are_those_above_the_boundary(name):
    """`unfreeze` and `split` use the same boundary."""
    backbone = tiny(name)
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        below, above = backbone.unfreeze(f"stages:{count}").split(stages - count)
        assert all(parameter.requires_grad for parameter in above.parameters())
        assert not any(parameter.requires_grad for parameter in below.parameters())


def test_layers_are_counted_in_order_of_execution():
    """layers:1 is the layer that runs last."""
    backbone = tiny("test_efficientnet")
    assert trainable(backbone.unfreeze("layers:3")) == {"bn2.weight", "bn2.bias"}
    assert trainable(backbone.unfreeze("layers:4")) == {
        "conv_head.weight",
        "bn2.weight",
        "bn2.bias",
    }
    total = len(backbone.parts().layers)
    assert trainable(backbone.unfreeze(f"layers:{total}")) == trainable(backbone.unfreeze("all"))


def test_freezing_counts_from_the_stem():
    """Freezing the first stages is the same as unfreezing the others."""
    backbone = tiny("test_resnet")
    by_freezing = trainable(backbone.freeze("stages:3"))
    assert by_freezing == trainable(backbone.unfreeze("stages:2"))
    assert trainable(backbone.freeze("none")) == trainable(backbone.unfreeze("all"))
    assert trainable(backbone.freeze()) == set()


@pytest.mark.parametrize("act", ["freeze", "unfreeze"])
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("layers:999", "'layers:999' exceeds the backbone, which has 36 layers."),
        ("stages:6", "'stages:6' exceeds the backbone, which has 5 stages."),
        ("layers", "'layers' is not a part of a backbone."),
        ("blocks:2", "'blocks:2' is not a part of a backbone."),
        ("layers:-1", "'layers:-1' is not a part of a backbone."),
    ],
)
def test_a_part_that_does_not_exist(act, spec, text):
    """The error says how many parts there are, or how to name one."""
    with pytest.raises(OptionError) as caught:
        getattr(tiny("test_efficientnet"), act)(spec)
    assert str(caught.value).startswith(text)


def drift(backbone):
    """Return the names of the tensors that a forward pass changes."""
    before = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    with torch.no_grad():
        backbone(noise(backbone, count=4))
    after = backbone.network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_frozen_norms_do_not_change_whatever_train_is_called_on():
    """Statistics below the boundary stay the same if any module's `train` is called."""
    callers = [
        lambda backbone: backbone.train(),
        lambda backbone: nn.Sequential(backbone, nn.Linear(96, 2)).train(),
        lambda backbone: backbone.network.train(),
        lambda backbone: [module.train() for module in backbone.modules()],
    ]
    for call in callers:
        backbone = tiny("test_resnet").unfreeze("stages:1")
        call(backbone)
        changed = drift(backbone)
        assert changed
        assert all(name.startswith("layer4.") for name in changed)


def test_a_frozen_half_does_not_change():
    """The network below a boundary stays frozen, even in training mode on its own."""
    backbone = tiny("test_resnet").unfreeze("stages:1")
    below, _ = backbone.split(4)
    below.train()
    before = {name: tensor.clone() for name, tensor in below.state_dict().items()}
    below(noise(backbone, count=4))
    assert all(torch.equal(before[name], tensor) for name, tensor in below.state_dict().items())


def test_dropout_below_the_boundary_is_inactive():
    """In training mode, a frozen network is deterministic, a trainable one is not."""
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


def test_a_copy_is_frozen_independently():
    """Unfreezing a deep copy does not affect the original."""
    backbone = tiny("test_efficientnet")
    other = copy.deepcopy(backbone).unfreeze("all").train()
    backbone.train()
    assert drift(other)
    assert not drift(backbone)


def test_only_trainable_parameters_get_gradients():
    """After a backward pass, there are gradients above the boundary only."""
    backbone = tiny("test_convnext").unfreeze("stages:1").train()
    backbone(noise(backbone)).sum().backward()
    with_gradient = {
        name
        for name, parameter in backbone.network.named_parameters()
        if parameter.grad is not None
    }
    assert with_gradient == trainable(backbone)


def test_a_network_that_cannot_be_traced():
    """The error says that tracing failed."""

    class DataDependent(nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    with pytest.raises(BackboneError, match="'DataDependent' cannot be split into layers"):
        trace_parts(DataDependent())


INSTEAD = "Freeze or train the whole network, or use a backbone from `headstart backbones`."


@pytest.mark.parametrize("part", ["stages:1", "layers:1"])
def test_stages_that_are_not_consecutive(part):
    """HRNet's stages run in parallel, so it is trained as a whole or not at all."""
    backbone = tiny("hrnet_w18_small")
    for attempt in (lambda: backbone.unfreeze(part), lambda: backbone.split(1)):
        with pytest.raises(BackboneError) as caught:
            attempt()
        assert str(caught.value) == (
            "'hrnet_w18_small' cannot be split into stages: they are not consecutive modules. "
            f"{INSTEAD}"
        )
    assert trainable(backbone.unfreeze("all"))


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "pit_ti_224"])
def test_stages_that_pass_on_more_than_a_map(name):
    """A network cannot be split where more than one value crosses the boundary."""
    with pytest.raises(BackboneError) as caught:
        tiny(name).split(1)
    assert str(caught.value) == (
        f"'{name}' cannot be split after stage 1: more than one value crosses the boundary. "
        f"{INSTEAD}"
    )
