"""Views of an image for fine-tuning."""

import numpy as np
import pytest

from headstart.options import TuneOptions
from headstart.tuning.boundary.views import ViewPlan

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize(("preset", "count"), [("none", 1), ("flip", 2), ("dihedral", 8)])
def test_flips_and_rotations_all_differ(preset, count):
    """No view is stored and trained on twice."""
    kept = TuneOptions(augment=preset, views=64).views_kept
    plan = ViewPlan((("a", "ab"),), preset, kept, seed=0)
    assert kept == count
    assert len({plan.view(PIXELS, 0, view).tobytes() for view in range(kept)}) == count


@pytest.mark.parametrize("preset", ["none", "flip", "standard", "dihedral", "strong"])
def test_the_first_view_is_the_image_and_views_are_deterministic(preset):
    """The content of a store can be recomputed."""
    kept = TuneOptions(augment=preset, views=4).views_kept
    plan = ViewPlan((("c", "cd"),), preset, kept, seed=3)
    assert np.array_equal(plan.view(PIXELS, 0, 0), PIXELS)
    for view in range(kept):
        assert np.array_equal(plan.view(PIXELS, 0, view), plan.view(PIXELS, 0, view))


def test_images_have_different_orders_of_rotations():
    """Each epoch therefore has rotations of all kinds."""
    files = tuple((f"{number}.png", f"{number:02x}") for number in range(32))
    plan = ViewPlan(files, "dihedral", 8, seed=0)
    seconds = {plan.view(PIXELS, number, 1).tobytes() for number in range(32)}
    assert len(seconds) > 3
