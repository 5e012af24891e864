"""One model against another on the same images."""

import numpy as np
import pytest

from headstart.arrays import Targets
from headstart.evaluation.comparison import Rival, beats, loss_gain, rival
from tests.conftest import TASK

IMAGES = 200


def scores(labels: Targets, *, margin: float, seed: int) -> np.ndarray:
    """Give scores of two classes that know the labels more or less."""
    drawn = np.random.default_rng(seed).normal(size=(len(labels), 2))
    drawn[np.arange(len(labels)), labels] += margin
    return drawn.astype(np.float32)


def made(losses: np.ndarray, *, right: int) -> Rival:
    """Give a model that has some losses and told so many images right."""
    told = np.arange(len(losses)) < right
    return Rival(float(losses.mean()), float(told.mean()), 1.0, losses, told)


def pair(errors: float, *, right: int = 150) -> tuple[Rival, Rival]:
    """Give two models of which the first one's loss is lower by so many standard errors."""
    gain = np.random.default_rng(0).normal(size=IMAGES)
    gain += errors * gain.std(ddof=1) / np.sqrt(IMAGES) - gain.mean()
    return made(3 - gain, right=right), made(np.full(IMAGES, 3.0), right=150)


@pytest.fixture
def labels() -> Targets:
    return np.random.default_rng(0).integers(0, 2, IMAGES)


def test_what_knows_more_beats_what_knows_less(labels: Targets) -> None:
    good = rival(scores(labels, margin=3, seed=1), labels, TASK)
    poor = rival(scores(labels, margin=1, seed=2), labels, TASK)
    assert beats(good, poor) and not beats(poor, good)
    assert loss_gain(good, poor) == -loss_gain(poor, good) > 2


@pytest.mark.parametrize(
    ("errors", "right", "wins"),
    [(1.1, 150, True), (0.1, 150, True), (-0.1, 151, False), (1.1, 149, False)],
)
def test_a_lower_loss_wins_unless_accuracy_is_lower(errors: float, right: int, wins: bool) -> None:
    one, other = pair(errors, right=right)
    assert loss_gain(one, other) == pytest.approx(errors)
    assert beats(one, other) == wins


def test_two_alike_beat_each_other_less_than_half_the_time(labels: Targets) -> None:
    """Loss and accuracy both have to be on one's side."""
    pairs = [
        [rival(scores(labels, margin=1, seed=seed), labels, TASK) for seed in (2 * n, 2 * n + 1)]
        for n in range(100)
    ]
    assert 10 < sum(beats(one, other) for one, other in pairs) < 50


def test_what_tells_nothing_wins_nothing() -> None:
    """One image, a model against itself, and a difference that is the same everywhere."""
    assert not beats(made(np.ones(1), right=1), made(np.full(1, 2.0), right=0))
    assert not beats(made(np.ones(9), right=9), made(np.ones(9), right=9))
    assert loss_gain(made(np.ones(9), right=9), made(np.full(9, 2.0), right=9)) == 0
