"""Rotations and reflections of a square."""

import torch

from headstart.data.orientations import (
    all_orientations,
    average_orientations,
    orient,
    orientation_count,
)


def picture() -> torch.Tensor:
    return torch.arange(2 * 4 * 4 * 3).view(2, 4, 4, 3)


def test_the_eight_orientations_differ_and_the_first_is_the_identity():
    seen = {tuple(orient(picture(), number).flatten().tolist()) for number in range(8)}
    assert len(seen) == 8
    assert torch.equal(orient(picture(), 0), picture())


def test_orientation_1_flips_left_and_right():
    assert torch.equal(orient(picture(), 1)[0, :, 0], picture()[0, :, -1])


def test_averaging_returns_one_row_per_image():
    batch = picture()
    for name in ("one", "mirror", "dihedral"):
        views = all_orientations(batch, name)
        assert len(views) == 2 * orientation_count(name)
        rows = average_orientations(views.flatten(1).float(), name)
        assert rows.shape == (2, 48)
        assert torch.allclose(rows.mean(dim=1), batch.flatten(1).float().mean(dim=1))


def test_features_averaged_over_all_orientations_are_invariant():
    def feature(images: torch.Tensor) -> torch.Tensor:
        rows = all_orientations(images, "dihedral").flatten(1).float()
        return average_orientations(
            (rows * torch.arange(48)).square().sum(dim=1, keepdim=True), "dihedral"
        )

    for number in range(8):
        assert torch.allclose(feature(orient(picture(), number)), feature(picture()))
