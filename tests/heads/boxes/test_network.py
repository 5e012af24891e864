"""The feature pyramid and its head."""

import pytest
import torch

from headstart.backbones.layout import MapShape
from headstart.backbones.maps import row_width
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.points import Points
from headstart.heads.boxes.shape import BoxHeadShape

THREE = (MapShape(6, 8), MapShape(10, 4), MapShape(12, 2))
ONE = (MapShape(16, 5),)
TWO = (MapShape(6, 8), MapShape(10, 4))


def head_of(maps, classes=3, **options):
    """Return a head with seeded weights."""
    torch.manual_seed(0)
    return BoxHead(BoxHeadShape(maps, classes, channels=8, **options)).eval()


@pytest.mark.parametrize(
    ("maps", "levels"),
    [(THREE, (8, 4, 2)), (TWO, (8, 4)), (ONE, (10, 5, 3)), ((MapShape(4, 1),), (2, 1, 1))],
)
def test_a_head_has_a_row_for_each_point(maps, levels):
    """A single map, as of a transformer, becomes levels of twice and half its resolution."""
    head = head_of(maps)
    assert head.shape.levels == levels
    with torch.no_grad():
        outputs = head(torch.randn(2, row_width(maps)))
    assert outputs.shape == (2, len(Points.of(levels, 64)), 4 + 3)
    assert outputs.dtype == torch.float32
    assert outputs.isfinite().all()


@pytest.mark.parametrize("maps", [THREE, ONE])
def test_at_first_nothing_is_likely_and_boxes_are_a_few_steps_wide(maps):
    """A probability of about 1 %, and three steps to each edge."""
    with torch.no_grad():
        outputs = head_of(maps)(torch.randn(4, row_width(maps)))
    assert 0.005 < outputs[..., 4:].sigmoid().mean() < 0.02
    assert 2.5 < outputs[..., :4].exp().mean() < 3.6


def test_rows_are_in_the_order_of_the_points():
    """A change in a corner of the finest map changes the rows of the points there."""
    head, rows = head_of(THREE), torch.zeros(2, row_width(THREE))
    rows[1].reshape(-1)[: THREE[0].values].reshape(6, 8, 8)[:, 0, 7] = 50.0
    with torch.no_grad():
        outputs = head(rows)
    change = (outputs[1] - outputs[0]).abs().sum(dim=1)
    points = Points.of(head.shape.levels, 64)
    x, y = points.centres[int(change[:64].argmax())].tolist()
    assert x > 32 > y
    # 3 x 3 convolutions one after the other reach three cells, not across the map.
    far = (points.centres[:64] - torch.tensor([60.0, 4.0])).abs().amax(dim=1) > 4 * 8
    assert (change[:64][far] == 0).all()


def test_all_maps_inform_all_levels():
    """The pyramid goes from coarse to fine maps and back."""
    head, rows = head_of(THREE), torch.zeros(3, row_width(THREE))
    rows[1, -THREE[2].values :] = 5.0
    rows[2, : THREE[0].values] = 5.0
    with torch.no_grad():
        outputs = head(rows)
    from_coarse, from_fine = (outputs[1] - outputs[0]).abs(), (outputs[2] - outputs[0]).abs()
    assert from_coarse[:64].sum() > 0
    assert from_fine[:64].sum() > 0
    assert from_coarse[-4:].sum() > 0
    assert from_fine[-4:].sum() > 0


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_depth_is_the_number_of_convolutions(depth):
    """Before the classes, and as many before the boxes."""
    head = head_of(THREE, depth=depth)
    assert len(head.class_tower.convolutions) == len(head.box_tower.convolutions) == depth


@pytest.mark.parametrize("maps", [THREE, ONE])
def test_every_weight_is_trained(maps):
    """None is left without a gradient."""
    head = head_of(maps).train()
    head(torch.randn(2, row_width(maps))).square().sum().backward()
    idle = [name for name, weight in head.named_parameters() if not weight.grad.abs().sum() > 0]
    assert idle == []


def test_channels_are_left_out_in_training_only():
    """So that the head does not rely on a few of them."""
    head, rows = head_of(THREE).train(), torch.randn(2, row_width(THREE))
    with torch.no_grad():
        assert not head(rows).equal(head(rows))
        head.eval()
        assert head(rows).equal(head(rows))


@pytest.mark.parametrize("maps", [THREE, ONE])
def test_what_is_trained_is_what_predicts(maps):
    """Levels differ in their statistics; each predicts with those that it was trained with."""
    head = head_of(maps).train()
    head.dropout.p = 0.0
    rows = torch.randn(16, row_width(maps)) * torch.linspace(0.1, 8, row_width(maps))
    with torch.no_grad():
        for _ in range(100):
            trained = head(rows)
        predicted = head.eval()(rows)
    scale = trained.std(dim=(0, 1))
    assert ((predicted - trained).abs().mean(dim=(0, 1)) < 0.1 * scale).all()
