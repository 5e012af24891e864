"""Temperature scaling finds how much too sure scores are."""

import numpy as np
import pytest

from headstart.evaluation.calibration import fit_temperature
from tests.conftest import TASK


def honest(count=20_000, classes=4, seed=0):
    """Give scores and labels drawn by the probabilities that the scores mean."""
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 2, size=(count, classes)).astype(np.float32)
    # Gumbel's trick: the largest of scores plus noise is a draw by their softmax.
    labels = (logits + numbers.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0, 20.0])
def test_a_known_scale_is_found(factor):
    """Scores multiplied by a factor get that factor as their temperature."""
    logits, labels = honest()
    assert fit_temperature(logits * np.float32(factor), labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("count", [4, 40, 400])
def test_few_images_without_a_mistake_leave_a_doubt(count):
    """Of n held-out images that are all right, one in n + 2 is still expected to be wrong."""
    labels = np.arange(count) % 2
    logits = np.eye(2, dtype=np.float32)[labels]
    told = TASK.probabilities(logits, fit_temperature(logits, labels)).max(axis=1)
    np.testing.assert_allclose(told, 1 - 1 / (count + 2), rtol=1e-3)


def test_scores_that_tell_nothing_become_even():
    """Scores that are always wrong are flattened as far as the bounds allow."""
    logits = np.eye(2, dtype=np.float32)[[0, 1]]
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(100, rel=0.05)


def test_probabilities_sum_to_one_even_for_large_scores():
    """No overflow at scores of thousands, and the order is kept."""
    logits = np.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]], dtype=np.float32)
    found = TASK.probabilities(logits, 2.0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[1], np.exp([0.5, 1, 1.5]) / np.exp([0.5, 1, 1.5]).sum())
    assert found[0].tolist() == [1.0, 0.0, 0.0]


def test_calibration_changes_no_label():
    """Whatever the temperature, the most probable class stays."""
    logits, _ = honest(500)
    for temperature in (0.01, 1.0, 100.0):
        np.testing.assert_array_equal(
            TASK.probabilities(logits, temperature).argmax(axis=1), logits.argmax(axis=1)
        )
