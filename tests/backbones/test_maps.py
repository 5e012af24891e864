"""The maps of a backbone's last stages, as rows."""

from types import SimpleNamespace

import pytest
import torch

import headstart as hs
from headstart.backbones.layout import MapShape
from headstart.backbones.maps import StageMaps, _coarsest, row_width, split_maps
from headstart.errors import BackboneError


def maps_of(name, size=64):
    """Return the maps of a tiny backbone with random weights."""
    return StageMaps(hs.load_backbone(name, weights="random", image_size=size, fit="pad")).eval()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("test_efficientnet", ((32, 8), (48, 4), (64, 2))),
        ("test_resnet", ((48, 8), (192, 4), (96, 2))),
        ("test_convnext", ((32, 8), (48, 4), (64, 2))),
        ("test_vit", ((64, 4),)),
    ],
)
def test_the_coarsest_three_resolutions_are_taken(name, shapes):
    """Steps of 8, 16 and 32 pixels, finest first; a transformer has one resolution."""
    maps = maps_of(name)
    assert maps.shapes == shapes
    assert maps.size == 64
    rows = maps(torch.zeros(3, 64, 64, 3, dtype=torch.uint8))
    assert rows.shape == (3, row_width(maps.shapes))
    assert rows.dtype == torch.float32


def test_of_equal_resolutions_the_last_stage_is_taken():
    """Stages 0 to 5 have sides of 16, 16, 8, 4, 4 and 2."""
    stages = [torch.zeros(1, 1, side, side) for side in (16, 16, 8, 4, 4, 2)]
    assert _coarsest(stages) == [2, 4, 5]
    assert _coarsest(stages[:3]) == [1, 2]
    assert _coarsest([torch.zeros(1, 1, 4, 4)] * 3) == [2]


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_rows_are_split_into_the_maps_of_the_stages(name):
    """Each map has its shape and the values that the stage has, in the same places."""
    maps = maps_of(name)
    images = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        parts = split_maps(maps(images), maps.shapes)
        stages = maps._pooling.maps(images)[0].stages
    assert [part.shape[1:] for part in parts] == [(c, s, s) for c, s in maps.shapes]
    for part in parts:
        assert any(stage.shape == part.shape and stage.equal(part) for stage in stages)


def test_maps_show_where_an_object_is():
    """A change in the top right corner of the image changes that corner of the finest map most."""
    maps = maps_of("test_resnet")
    images = torch.full((2, 64, 64, 3), 100, dtype=torch.uint8)
    images[1, :16, 48:] = 250
    with torch.no_grad():
        finest = split_maps(maps(images), maps.shapes)[0]
    change = (finest[1] - finest[0]).abs().sum(dim=0)
    assert change[:4, 4:].sum() > 2 * change[4:, :4].sum()


def test_the_width_of_a_row_is_the_number_of_its_values():
    """Channels times positions, summed over the maps."""
    assert MapShape(3, 4).values == 48
    assert row_width((MapShape(3, 4), MapShape(5, 2))) == 68


def test_maps_that_are_not_square_are_refused(monkeypatch):
    """The error names the architecture and says what to do."""
    flat = SimpleNamespace(stages=[torch.zeros(1, 8, 4, 2)])
    monkeypatch.setattr(
        "headstart.backbones.maps.StagePooling.maps", lambda self, images: (flat, None)
    )
    with pytest.raises(BackboneError) as error:
        maps_of("test_resnet")
    assert str(error.value) == (
        "A detector cannot be built on 'test_resnet', whose stages do not return square maps. Use "
        "a backbone from `headstart backbones`."
    )
