"""The last stages of a backbone with the head of a detector."""

import pytest
import torch

import headstart as hs
from headstart.backbones.maps import StageMaps
from headstart.detection.recipe import DetectionRecipe, optimiser_of, tuning_recipe
from headstart.detection.stages import StagesWithHead
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.tuning.boundary.cutting import cut
from tests.conftest import TINY


@pytest.fixture(scope="module")
def parts():
    """A backbone whose last stage is trainable, what is below it, and the stage with a head."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64, fit="pad")
    backbone.unfreeze("stages:1")
    maps = StageMaps(backbone)
    halves = cut(maps.eval(), backbone.parts().stages_below("stages:1"))
    head = BoxHead(BoxHeadShape(maps.shapes, 2, channels=8))
    return backbone, halves.below.eval(), StagesWithHead(halves.above, head)


def test_the_head_sees_the_maps_of_the_whole_backbone(parts):
    """What is trained predicts as the detector does."""
    backbone, below, network = parts
    images = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.eval().head(StageMaps(backbone).eval()(images))
        torch.testing.assert_close(network(below(images)), expected, rtol=1e-4, atol=1e-4)


def test_only_the_head_is_in_training_mode(parts):
    """Norms of the backbone keep their statistics."""
    _, below, network = parts
    network.train()
    assert network.training and network.head.training
    assert not any(module.training for module in network.above.modules())
    before = {name: value.clone() for name, value in network.above.named_buffers()}
    network(below(torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)))
    assert all(before[name].equal(value) for name, value in network.above.named_buffers())


def test_stages_learn_more_slowly_than_the_head(parts):
    """What is frozen is not in the optimiser."""
    _, _, network = parts
    groups = optimiser_of(network, DetectionRecipe(backbone_rate=0.2)).param_groups
    scales = {id(parameter): group["scale"] for group in groups for parameter in group["params"]}
    for parameter in network.head.parameters():
        assert scales.pop(id(parameter)) == 1.0
    trainable = [one for one in network.above.parameters() if one.requires_grad]
    assert trainable
    for parameter in trainable:
        assert scales.pop(id(parameter)) == 0.2
    assert not scales


def test_the_recipe_of_tuning():
    """Fewer epochs at a lower rate."""
    recipe = tuning_recipe(DetectionRecipe(epochs=50, learning_rate=2e-3))
    assert (recipe.epochs, recipe.learning_rate) == (10, 1e-3)
    assert tuning_recipe(DetectionRecipe(epochs=3)).epochs == 3
