"""Temperature scaling finds how overconfident scores are."""

import numpy as np
import pytest

from headstart.evaluation.calibration import fit_temperature
from tests.conftest import TASK


def calibrated_scores(count=20_000, classes=4, seed=0):
    """Return scores, and labels drawn from the probabilities that the scores stand for."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, size=(count, classes)).astype(np.float32)
    # The Gumbel-max trick: the argmax of scores plus noise is a draw from their softmax.
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0, 20.0])
def test_a_known_scale_is_found(factor):
    """Scores multiplied by a factor have that factor as their temperature."""
    logits, labels = calibrated_scores()
    assert fit_temperature(logits * np.float32(factor), labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("count", [4, 40, 400])
def test_few_images_without_a_mistake_do_not_give_certainty(count):
    """If all n held-out images are correct, the expected error is still 1 / (n + 2)."""
    labels = np.arange(count) % 2
    logits = np.eye(2, dtype=np.float32)[labels]
    confidence = TASK.probabilities(logits, fit_temperature(logits, labels)).max(axis=1)
    np.testing.assert_allclose(confidence, 1 - 1 / (count + 2), rtol=1e-3)


def test_wrong_scores_are_flattened():
    """Scores that are always wrong get the highest temperature that the bounds allow."""
    logits = np.eye(2, dtype=np.float32)[[0, 1]]
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(100, rel=0.05)


def test_probabilities_sum_to_one_even_for_large_scores():
    """Scores of thousands do not overflow, and the order is kept."""
    logits = np.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]], dtype=np.float32)
    found = TASK.probabilities(logits, 2.0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[1], np.exp([0.5, 1, 1.5]) / np.exp([0.5, 1, 1.5]).sum())
    assert found[0].tolist() == [1.0, 0.0, 0.0]


def test_calibration_does_not_change_predicted_labels():
    """The most probable class is the same at every temperature."""
    logits, _ = calibrated_scores(500)
    for temperature in (0.01, 1.0, 100.0):
        np.testing.assert_array_equal(
            TASK.probabilities(logits, temperature).argmax(axis=1), logits.argmax(axis=1)
        )
