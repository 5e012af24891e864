"""The points of a pyramid, and boxes at them."""

import math

import pytest
import torch

from headstart.heads.boxes.points import Points


def test_points_are_the_middles_of_the_cells_of_each_level():
    """Level by level and row by row, in pixels of the input."""
    points = Points.of((2, 1), 32)
    assert points.centres.tolist() == [[8, 8], [24, 8], [8, 24], [24, 24], [16, 16]]
    assert points.steps.tolist() == [[16], [16], [16], [16], [32]]
    assert len(points) == 5


@pytest.mark.parametrize("levels", [(8, 4, 2), (20, 10, 5), (7, 4, 2)])
def test_every_level_covers_the_input_evenly(levels):
    """The first point is half a step from the edge, the last one too."""
    points, begin = Points.of(levels, 100), 0
    for side in levels:
        centres = points.centres[begin : begin + side**2]
        step = 100 / side
        torch.testing.assert_close(centres.min(), torch.tensor(step / 2))
        torch.testing.assert_close(centres.max(), torch.tensor(100 - step / 2))
        torch.testing.assert_close(centres.mean(dim=0), torch.tensor([50.0, 50.0]))
        begin += side**2
    assert begin == len(points)


def test_boxes_reach_from_their_point_by_steps():
    """Logarithms of 1, 2, 3 and 4 steps of 16 pixels: left, top, right, bottom."""
    points = Points.of((2, 1), 32)
    reach = torch.zeros(5, 4)
    reach[1] = torch.tensor([1.0, 2.0, 3.0, 4.0]).log()
    corners = points.corners(reach)
    assert corners.dtype == torch.float32
    torch.testing.assert_close(corners[1], torch.tensor([8.0, -24.0, 72.0, 72.0]))
    torch.testing.assert_close(corners[4], torch.tensor([-16.0, -16.0, 48.0, 48.0]))
    torch.testing.assert_close(points.corners(reach[None])[0], corners)


def test_huge_distances_stay_finite():
    """Whatever an untrained network returns, boxes are numbers, and so are gradients."""
    reach = torch.full((5, 4), 1e4, requires_grad=True)
    corners = Points.of((2, 1), 32).corners(reach)
    assert corners.isfinite().all()
    assert corners.max() < 33 * math.exp(6)
    corners.sum().backward()
    assert reach.grad.isfinite().all()
