"""Comparison of two models on the same images."""

import numpy as np
import pytest

from headstart.arrays import Targets
from headstart.evaluation.comparison import HeldOutResult, beats, loss_gain, measure_held_out
from tests.conftest import TASK

IMAGES = 200


def scores(labels: Targets, *, margin: float, seed: int) -> np.ndarray:
    """Return scores of two classes that favour the labels by some margin."""
    drawn = np.random.default_rng(seed).normal(size=(len(labels), 2))
    drawn[np.arange(len(labels)), labels] += margin
    return drawn.astype(np.float32)


def result(losses: np.ndarray, *, correct: int) -> HeldOutResult:
    """Return the result of a model with given losses and number of correct images."""
    flags = np.arange(len(losses)) < correct
    no_probabilities = np.zeros((len(losses), 2))
    return HeldOutResult(
        float(losses.mean()), float(flags.mean()), 1.0, losses, flags, no_probabilities
    )


def pair(errors: float, *, correct: int = 150) -> tuple[HeldOutResult, HeldOutResult]:
    """Return two results, of which the first has the lower loss by so many standard errors."""
    gain = np.random.default_rng(0).normal(size=IMAGES)
    gain += errors * gain.std(ddof=1) / np.sqrt(IMAGES) - gain.mean()
    return result(3 - gain, correct=correct), result(np.full(IMAGES, 3.0), correct=150)


@pytest.fixture
def labels() -> Targets:
    return np.random.default_rng(0).integers(0, 2, IMAGES)


def test_the_better_model_beats_the_worse_one(labels: Targets) -> None:
    good = measure_held_out(scores(labels, margin=3, seed=1), labels, TASK)
    poor = measure_held_out(scores(labels, margin=1, seed=2), labels, TASK)
    assert beats(good, poor) and not beats(poor, good)
    assert loss_gain(good, poor) == -loss_gain(poor, good) > 2


@pytest.mark.parametrize(
    ("errors", "correct", "wins"),
    [(1.1, 150, True), (0.1, 150, True), (-0.1, 151, False), (1.1, 149, False)],
)
def test_a_lower_loss_wins_unless_accuracy_is_lower(
    errors: float, correct: int, wins: bool
) -> None:
    new, old = pair(errors, correct=correct)
    assert loss_gain(new, old) == pytest.approx(errors)
    assert beats(new, old) == wins


def test_equally_good_models_beat_each_other_less_than_half_the_time(labels: Targets) -> None:
    """Both loss and accuracy have to be better."""
    pairs = [
        [
            measure_held_out(scores(labels, margin=1, seed=seed), labels, TASK)
            for seed in (2 * n, 2 * n + 1)
        ]
        for n in range(100)
    ]
    assert 10 < sum(beats(new, old) for new, old in pairs) < 50


def test_uninformative_comparisons_are_not_won() -> None:
    """A single image, a model against itself, and a constant paired_difference prove nothing."""
    assert not beats(result(np.ones(1), correct=1), result(np.full(1, 2.0), correct=0))
    assert not beats(result(np.ones(9), correct=9), result(np.ones(9), correct=9))
    assert loss_gain(result(np.ones(9), correct=9), result(np.full(9, 2.0), correct=9)) == 0
