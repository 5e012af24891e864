"""A network with its pooling, cut at a boundary."""

import pytest
import torch

from headstart.backbones.backbone import load_backbone
from headstart.backbones.maps import StageMaps
from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.errors import OptionError
from headstart.tuning.boundary.cutting import cut

FAMILIES = ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("reads", ["stages", "last"])
@torch.no_grad()
def test_two_halves_compute_the_same_as_the_whole_network(name, reads):
    """In sequence they compute the features of all stages, for a cut after any stage."""
    backbone = load_backbone(name, weights="random")
    pooling = StagePooling(backbone, reads=reads).eval()
    size = backbone.preprocess.size
    images = torch.randint(256, (3, size, size, 3), dtype=torch.uint8)
    whole = pooling(images)
    for after in range(1, len(stage_names(backbone.network)) + 1):
        halves = cut(pooling, after)
        rows = halves.below(images)
        assert rows.shape == (3, halves.row_width)
        torch.testing.assert_close(halves.above(rows), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_two_halves_compute_the_same_maps(name):
    """So that the head of a detector fits on the upper half."""
    maps = StageMaps(load_backbone(name, weights="random", image_size=64, fit="pad")).eval()
    images = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    whole = maps(images)
    for after in range(1, len(stage_names(maps.network)) + 1):
        halves = cut(maps, after)
        torch.testing.assert_close(halves.above(halves.below(images)), whole, rtol=1e-5, atol=1e-5)


def test_a_missing_boundary_is_an_error():
    """The error lists the valid stages."""
    backbone = load_backbone("test_resnet", weights="random")
    with pytest.raises(OptionError) as caught:
        cut(StagePooling(backbone).eval(), 6)
    assert str(caught.value) == (
        "There is no boundary after stage 6: the backbone has 5 stages. Use 1 to 5."
    )


def test_a_network_can_be_cut_on_any_device():
    """Fine-tuning moves the network to a device, and both halves work there."""
    backbone = load_backbone(weights="random", image_size=64)
    cpu = cut(StagePooling(backbone, reads="last").eval(), 4)
    backbone.network.to("meta")
    meta = cut(StagePooling(backbone, reads="last").eval(), 4)
    pixels = torch.zeros(2, 64, 64, 3, dtype=torch.uint8, device="meta")
    rows = meta.below(pixels)
    assert rows.shape == (2, cpu.row_width) == (2, meta.row_width)
    assert meta.above(rows).shape == (2, backbone.width)
