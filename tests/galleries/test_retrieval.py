"""Leave-one-out retrieval."""

import numpy as np
import pytest

from headstart.galleries.retrieval import retrieve


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def test_each_image_is_looked_up_among_the_others() -> None:
    """Ranks, distances to its own label and to others, and mAP@R, by hand."""
    points = on_circle(0, 10, 25, 60)
    labels = np.array([0, 0, 1, 0])
    found = retrieve(points, labels, np.arange(4), np.arange(4))
    assert found.rank.tolist() == [1, 1, 0, 2]
    assert found.recall(1) == pytest.approx(2 / 3)
    assert found.recall(2) == 1
    own = 1 - np.cos(np.radians([10, 10, 35]))
    assert found.same[[0, 1, 3]] == pytest.approx(
        [own[0], own[1], 1 - np.cos(np.radians(50))], abs=1e-6
    )
    assert np.isinf(found.same[2])
    assert found.other == pytest.approx(1 - np.cos(np.radians([25, 15, 15, 35])), abs=1e-6)
    # Of two images with the label, the first image finds one at rank 1 and none at rank 2; so on.
    assert found.precision_at_r[[0, 1, 3]] == pytest.approx([0.5, 0.5, 0.25])
    assert np.isnan(found.precision_at_r[2])
    assert found.map_at_r == pytest.approx(1.25 / 3)


def test_images_of_the_same_group_are_not_found() -> None:
    """Not even if they are the nearest."""
    points, labels = on_circle(0, 1, 2, 40), np.array([0, 0, 1, 0])
    found = retrieve(points, labels, np.array([7, 7, 8, 9]), np.array([0, 1]))
    assert found.rank.tolist() == [2, 2]


def test_ties_are_no_merit() -> None:
    """An image of another label that is as near comes first."""
    found = retrieve(on_circle(0, 10, 10), np.array([0, 0, 1]), np.arange(3), np.array([0]))
    assert found.rank.tolist() == [2]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that are looked up at a time."""
    draw = np.random.default_rng(0)
    points = draw.normal(size=(60, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels, groups = draw.integers(0, 9, 60), draw.integers(0, 40, 60)
    whole = retrieve(points, labels, groups, np.arange(60))
    monkeypatch.setattr("headstart.galleries.retrieval._BLOCK", 60 * 7)
    parts = retrieve(points, labels, groups, np.arange(60))
    assert np.array_equal(whole.rank, parts.rank)
    assert np.allclose(whole.same, parts.same) and np.allclose(whole.other, parts.other)
