"""Which points are trained to predict which box."""

import pytest
import torch

from headstart.heads.boxes.assignment import TrueBoxes, _overlaps, assign
from headstart.heads.boxes.losses import stack_truth
from headstart.heads.boxes.points import Points

# 8 x 8 points in steps of 8 pixels, then 4 x 4 in steps of 16.
POINTS = Points.of((8, 4), 64)
FINE = 64


def truth(*boxes, classes=None):
    """Return the true boxes of one image."""
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    numbers = torch.tensor(classes or [0] * len(boxes), dtype=torch.int64)
    return stack_truth([corners], [numbers])


def squares(half=12.0):
    """Return a predicted square around each point."""
    centres = POINTS.centres
    return torch.cat([centres - half, centres + half], dim=1)[None]


def scores(classes=1, value=0.5):
    """Return equal scores."""
    return torch.full((1, len(POINTS), classes), value)


def taken_points(assignment, box):
    """Return the places of the points that are trained to predict a box."""
    chosen = assignment.taken[0] & (assignment.box[0] == box)
    return POINTS.centres[chosen].tolist()


def test_the_best_ten_points_within_a_box_take_it():
    """Only points within the box count, however well those beside it overlap."""
    box = (4.0, 4.0, 40.0, 40.0)
    found = assign(POINTS, squares(18.0), scores(), truth(box))
    places = taken_points(found, 0)
    assert len(places) == 10
    assert all(4 < x < 40 and 4 < y < 40 for x, y in places)
    middle = [20.0, 20.0]  # That of the box.
    assert middle in places


def test_the_quality_is_the_overlap_of_the_best_point_and_less_elsewhere():
    """The best point gets its intersection over union as its score."""
    box = (8.0, 8.0, 32.0, 32.0)
    corners = squares(12.0)
    found = assign(POINTS, corners, scores(), truth(box))
    best = int(found.quality[0].argmax())
    overlaps = _overlaps(torch.tensor([[box]]), corners)[0, 0]
    assert best == int(torch.where(found.taken[0], overlaps, -1.0).argmax())
    assert found.quality[0, best].item() == pytest.approx(overlaps[best].item(), rel=1e-4)
    assert (found.quality[0][~found.taken[0]] == 0).all()
    assert (found.quality <= 1).all()


def test_a_higher_score_for_its_class_makes_a_point_suit_a_box():
    """Of two points with the same overlap, the one with the higher score is better."""
    box = (8.0, 8.0, 24.0, 24.0)  # Four fine points at equal distances from its middle.
    given = scores(2, 0.1)
    given[0, 8 + 2, 1] = 0.9  # The point (20, 12), for class 1.
    found = assign(POINTS, squares(8.0), given, truth(box, classes=[1]))
    assert int(found.quality[0, :FINE].argmax()) == 10
    other = assign(POINTS, squares(8.0), given, truth(box, classes=[0]))
    quality = other.quality[0, [9, 10, 17, 18]]
    torch.testing.assert_close(quality, quality[:1].expand(4))


@pytest.mark.parametrize(
    ("box", "nearest"),
    [
        ((30.5, 30.5, 31.5, 31.5), [28.0, 28.0]),
        ((0.0, 0.0, 1.0, 1.0), [4.0, 4.0]),
        ((63.0, 10.0, 64.0, 14.0), [60.0, 12.0]),
        ((39.5, 39.5, 40.5, 40.5), [40.0, 40.0]),
    ],
)
def test_a_box_without_a_point_takes_the_nearest(box, nearest):
    """Boxes that are smaller than the distance of points are learnt too."""
    found = assign(POINTS, squares(), scores(), truth(box))
    assert taken_points(found, 0) == [nearest]


def test_of_points_at_the_same_distance_the_finest_level_is_taken():
    """A tiny box halfway between a fine and a coarse point belongs to the fine one."""
    points = Points.of((2, 1), 64)  # (16, 16), … in steps of 32, and (32, 32) in a step of 64.
    corners = torch.cat([points.centres - 30, points.centres + 30], dim=1)[None]
    box = torch.tensor([[23.5, 23.5, 24.5, 24.5]])
    found = assign(
        points, corners, torch.full((1, 5, 1), 0.5), stack_truth([box], [torch.tensor([0])])
    )
    assert found.taken[0].tolist() == [True, False, False, False, False]


def test_a_contested_point_goes_to_the_box_with_the_larger_overlap():
    """Two boxes share points; each point is trained for one of them."""
    small, large = (8.0, 8.0, 32.0, 32.0), (0.0, 0.0, 48.0, 48.0)
    both = truth(large, small)
    corners = squares(12.0)
    found = assign(POINTS, corners, scores(), both)
    alone = [assign(POINTS, corners, scores(), truth(box)).taken[0] for box in (large, small)]
    contested = alone[0] & alone[1]
    assert contested.any()
    overlaps = _overlaps(both.corners, corners)[0]
    assert found.box[0][contested].tolist() == overlaps[:, contested].argmax(dim=0).tolist()
    assert set(found.box[0][found.taken[0]].tolist()) == {0, 1}


def test_an_image_without_boxes_takes_no_points():
    """Beside an image with a box, whose points are the same as alone."""
    box = torch.tensor([[8.0, 8.0, 32.0, 32.0]])
    batch = stack_truth([torch.zeros(0, 4), box], [torch.zeros(0).long(), torch.tensor([0])])
    found = assign(POINTS, squares().repeat(2, 1, 1), scores().repeat(2, 1, 1), batch)
    alone = assign(POINTS, squares(), scores(), truth((8.0, 8.0, 32.0, 32.0)))
    assert not found.taken[0].any()
    assert found.quality[0].sum() == 0
    assert found.taken[1].equal(alone.taken[0])
    torch.testing.assert_close(found.quality[1], alone.quality[0])


def test_more_boxes_than_points_are_assigned():
    """Every point has a box, and nothing fails; an image may have 5,000 boxes."""
    corners = torch.tensor([[0.0, 0.0, 64.0, 64.0]]).repeat(5000, 1)
    batch = stack_truth([corners], [torch.zeros(5000).long()])
    found = assign(POINTS, squares(), scores(), batch)
    assert found.taken.sum() == 10


def test_overlaps_are_those_of_torchvision():
    """For each image of a batch."""
    from torchvision.ops import box_iou

    draw = torch.Generator().manual_seed(0)
    first, second = (
        torch.cat([start, start + torch.rand(2, count, 2, generator=draw) * 30], dim=-1)
        for count in (3, 7)
        for start in [torch.rand(2, count, 2, generator=draw) * 40]
    )
    for image, overlaps in enumerate(_overlaps(first, second)):
        torch.testing.assert_close(overlaps, box_iou(first[image], second[image]))


def test_stacked_boxes_have_places_for_the_most():
    """Missing boxes are zeros that are not present; without any box, there is one place."""
    batch = stack_truth(
        [torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), torch.zeros(0, 4)],
        [torch.tensor([2, 0]), torch.zeros(0).long()],
    )
    assert isinstance(batch, TrueBoxes)
    assert batch.corners[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert batch.classes.tolist() == [[2, 0], [0, 0]]
    assert batch.present.tolist() == [[True, True], [False, False]]
    assert stack_truth([torch.zeros(0, 4)], [torch.zeros(0).long()]).present.tolist() == [[False]]
