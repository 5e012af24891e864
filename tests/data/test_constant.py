"""Regions that look the same in all images of a class or of the data."""

import numpy as np

from headstart.data.constant import Steadiness


def steadiness(marked: tuple[int, ...], images: int = 30) -> Steadiness:
    """Return noise of two classes, of which some have a mark at the bottom right."""
    rng = np.random.default_rng(0)
    found = Steadiness(2, 48)
    for number in range(2 * images):
        grid = rng.integers(0, 256, (48, 48)).astype(np.float64)
        if number % 2 in marked:
            grid[40:44, 36:46] = np.array([0.0, 255.0])[(np.arange(40).reshape(4, 10) % 3) // 2]
        found.add(grid, [number % 2])
    return found


def test_a_watermark_is_found_in_one_class_or_in_all() -> None:
    """With its place; what is in all images is not repeated for each class."""
    assert list(steadiness(()).regions()) == []
    ((number, share, place),) = steadiness((1,)).regions()
    assert (number, place) == (1, "bottom right")
    assert 0 < share <= 40 / 48**2
    ((number, _, _),) = steadiness((0, 1)).regions()
    assert number is None


def test_a_border_of_one_colour_is_no_watermark_and_few_images_say_nothing() -> None:
    """Borders are found by image; below 20 images, anything may look steady."""
    rng = np.random.default_rng(0)
    framed = Steadiness(1, 48)
    for _ in range(40):
        grid = np.zeros((48, 48))
        grid[10:-10, 10:-10] = rng.integers(0, 256, (28, 28))
        framed.add(grid, [0])
    assert list(framed.regions()) == []
    assert list(steadiness((0, 1), images=5).regions()) == []
