"""The loss of a detector."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from headstart.heads.boxes.losses import detection_loss, stack_truth
from headstart.heads.boxes.points import Points

POINTS = Points.of((8, 4), 64)
BOX = torch.tensor([[8.0, 8.0, 32.0, 32.0]])


def outputs(images=1, classes=2, seed=0):
    """Return random outputs of a head."""
    draw = torch.Generator().manual_seed(seed)
    made = torch.randn(images, len(POINTS), 4 + classes, generator=draw)
    return made.requires_grad_()


def reach_of(box, point):
    """Return the output of a point whose box is exact."""
    centre, step = POINTS.centres[point], POINTS.steps[point]
    distances = torch.cat([centre - box[:2], box[2:] - centre])
    return (distances / step).log()


def test_without_boxes_the_loss_is_that_of_the_background():
    """It is finite, and so are all gradients, where no image of a batch has a box."""
    given = outputs(3)
    batch = stack_truth([torch.zeros(0, 4)] * 3, [torch.zeros(0).long()] * 3)
    loss = detection_loss(given, POINTS, batch)
    scores = given[..., 4:]
    expected = binary_cross_entropy_with_logits(scores, torch.zeros_like(scores), reduction="sum")
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert given.grad.isfinite().all()
    assert (given.grad[..., :4] == 0).all()
    assert (given.grad[..., 4:] > 0).all()


def test_an_image_without_boxes_is_background_beside_others():
    """Its scores are pushed down at every point, and its boxes are not trained."""
    given = outputs(2)
    batch = stack_truth([BOX, torch.zeros(0, 4)], [torch.tensor([1]), torch.zeros(0).long()])
    detection_loss(given, POINTS, batch).backward()
    assert given.grad.isfinite().all()
    assert (given.grad[1, :, :4] == 0).all()
    assert (given.grad[1, :, 4:] > 0).all()
    assert (given.grad[0, :, :4] != 0).any()


def test_exact_boxes_have_no_loss_of_their_place():
    """With exact boxes and certain scores, nothing is left; a worse box costs more."""
    given = torch.full((1, len(POINTS), 6), -30.0)
    for point in range(len(POINTS)):
        x, y = POINTS.centres[point]
        if 8 < x < 32 and 8 < y < 32:
            given[0, point, :4] = reach_of(BOX[0], point)
            given[0, point, 5] = 30.0
    batch = stack_truth([BOX], [torch.tensor([1])])
    points = (given[0, :, 5] > 0).nonzero()[:, 0]
    # Ten points are trained to predict the box. Here are ten within it: nine fine, one coarse.
    assert len(points) == 10
    assert detection_loss(given, POINTS, batch).item() == pytest.approx(0, abs=1e-3)
    worse = given.clone()
    worse[0, points, 0] += 0.3
    assert detection_loss(worse, POINTS, batch) > 0.1


def test_the_score_of_the_right_class_is_raised():
    """At points of the box, the gradient of its class is negative, of the other one positive."""
    given = torch.zeros(1, len(POINTS), 6)
    given[..., 4:] = math.log(0.01 / 0.99)
    given.requires_grad_()
    detection_loss(given, POINTS, stack_truth([BOX], [torch.tensor([1])])).backward()
    raised = given.grad[0, :, 5] < 0
    assert raised.any()
    x, y = POINTS.centres[raised].T
    assert ((x > 8) & (x < 32) & (y > 8) & (y < 32)).all()
    assert (given.grad[0, :, 4] > 0).all()


@pytest.mark.parametrize(
    "box", [(10.0, 10.0, 10.5, 10.5), (0.0, 0.0, 64.0, 64.0), (0.0, 30.0, 64.0, 30.2)]
)
def test_extreme_boxes_have_a_finite_loss(box):
    """Tiny, flat and whole-image boxes do not break a training."""
    given = outputs()
    loss = detection_loss(given, POINTS, stack_truth([torch.tensor([box])], [torch.tensor([0])]))
    loss.backward()
    assert loss.isfinite()
    assert given.grad.isfinite().all()


def test_descending_the_loss_finds_the_boxes():
    """Free outputs that follow the gradient predict both boxes with their classes in the end."""
    given = torch.zeros(1, len(POINTS), 6)
    given[..., 4:] = math.log(0.01 / 0.99)
    given.requires_grad_()
    boxes = torch.tensor([[4.0, 6.0, 30.0, 28.0], [36.0, 30.0, 62.0, 60.0]])
    batch = stack_truth([boxes], [torch.tensor([0, 1])])
    optimiser = torch.optim.Adam([given], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        detection_loss(given, POINTS, batch).backward()
        optimiser.step()
    corners = POINTS.corners(given[0, :, :4].detach())
    for number, box in enumerate(boxes):
        best = int(given[0, :, 4 + number].argmax())
        torch.testing.assert_close(corners[best], box, atol=1.0, rtol=0)
        assert given[0, best, 4 + number].sigmoid() > 0.8
