"""One model against another on the same images."""

import numpy as np
import pytest

from headstart.evaluation.comparison import beats, loss_gain, rival

IMAGES = 200


def scores(labels: np.ndarray, *, margin: float, noise: float, seed: int) -> np.ndarray:
    """Give scores of two classes that know the labels more or less."""
    drawn = np.random.default_rng(seed).normal(size=(len(labels), 2)) * noise
    drawn[np.arange(len(labels)), labels] += margin
    return drawn.astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, IMAGES)


def test_what_knows_more_beats_what_knows_less(labels: np.ndarray) -> None:
    good = rival(scores(labels, margin=3, noise=1, seed=1), labels)
    poor = rival(scores(labels, margin=1, noise=1, seed=2), labels)
    assert beats(good, poor) and not beats(poor, good)
    assert loss_gain(good, poor) == -loss_gain(poor, good) > 2


def test_a_model_does_not_beat_itself(labels: np.ndarray) -> None:
    one = rival(scores(labels, margin=1, noise=1, seed=1), labels)
    assert loss_gain(one, one) == 0 and not beats(one, one)


def test_two_alike_seldom_beat_each_other(labels: np.ndarray) -> None:
    """One standard error in one direction is passed by chance about one time in six."""
    pairs = [
        [rival(scores(labels, margin=1, noise=1, seed=seed), labels) for seed in (2 * n, 2 * n + 1)]
        for n in range(100)
    ]
    assert sum(beats(one, other) for one, other in pairs) < 30


def test_one_image_tells_nothing() -> None:
    good, poor = (
        rival(np.array([[0, value]], dtype=np.float32), np.array([1])) for value in (2, 1)
    )
    assert not beats(good, poor)
