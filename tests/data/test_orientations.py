"""Turns and mirror images of a square."""

import torch

from headstart.data.orientations import averaged, count_of, in_all, oriented


def picture() -> torch.Tensor:
    return torch.arange(2 * 4 * 4 * 3).view(2, 4, 4, 3)


def test_the_eight_orientations_differ_and_the_first_is_the_image():
    seen = {tuple(oriented(picture(), number).flatten().tolist()) for number in range(8)}
    assert len(seen) == 8
    assert torch.equal(oriented(picture(), 0), picture())


def test_one_mirrors_left_and_right():
    assert torch.equal(oriented(picture(), 1)[0, :, 0], picture()[0, :, -1])


def test_averaging_brings_back_one_row_for_each_image():
    batch = picture()
    for name in ("one", "mirror", "dihedral"):
        views = in_all(batch, name)
        assert len(views) == 2 * count_of(name)
        rows = averaged(views.flatten(1).float(), name)
        assert rows.shape == (2, 48)
        assert torch.allclose(rows.mean(dim=1), batch.flatten(1).float().mean(dim=1))


def test_what_is_averaged_over_all_orientations_does_not_change_when_the_image_is_turned():
    def feature(images: torch.Tensor) -> torch.Tensor:
        rows = in_all(images, "dihedral").flatten(1).float()
        return averaged((rows * torch.arange(48)).square().sum(dim=1, keepdim=True), "dihedral")

    for number in range(8):
        assert torch.allclose(feature(oriented(picture(), number)), feature(picture()))
