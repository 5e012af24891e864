"""Shift: the two-sample test, the estimated accuracy, and what to label first."""

import numpy as np
import pytest

from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.shift import estimate_accuracy, label_first
from headstart.evaluation.two_sample import two_sample_test
from tests.evaluation.test_conformal import drawn


def points(images: int, seed: int, *, moved: float = 0.0, scale: float = 1.0):
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(images, 8)) * scale + moved).astype(np.float32)


def test_alarms_without_a_shift_are_as_rare_as_they_should_be():
    """Of 100 pairs of samples of the same kind, about 5 have a p-value below 0.05."""
    tests = [two_sample_test(points(60, s), points(30, 1000 + s)) for s in range(100)]
    assert sum(test.p < 0.05 for test in tests) <= 11
    assert np.mean([test.p < 0.5 for test in tests]) == pytest.approx(0.5, abs=0.15)
    assert np.mean([test.auroc for test in tests]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("moved", [{"moved": 0.7}, {"scale": 2.0}])
def test_a_shift_is_found(moved):
    """Another mean is found, and another spread with the same mean."""
    found = two_sample_test(points(200, 0), points(60, 1, **moved))
    assert found.p == pytest.approx(1 / 500)
    assert found.auroc > 0.7


def test_estimated_accuracy_follows_confidence():
    """It is right on images like the held-out ones, and lower where confidence is lower."""
    probabilities, truth = drawn(3000, 0, sharpness=3)
    calibration = CalibrationSet.of(*drawn(3000, 1, sharpness=3), seed=0)
    accuracy = (probabilities.argmax(axis=1) == truth).mean()
    estimate, (low, high) = estimate_accuracy(calibration, probabilities)
    assert estimate == pytest.approx(accuracy, abs=0.03)
    assert low < estimate < high
    unsure = (probabilities + 0.5) / (probabilities + 0.5).sum(axis=1, keepdims=True)
    assert estimate_accuracy(calibration, unsure)[0] < estimate - 0.3


def test_images_to_label_are_uncertain_and_different():
    """Of two groups of equal images, one of each is chosen first; certain images come last."""
    new = np.array([[0, 9], [0, 9], [9, 0], [9, 0], [4, 4]], np.float32)
    uncertainty = np.array([0.9, 0.8, 0.9, 0.7, 0.0])
    known = np.zeros((1, 2), np.float32)
    chosen = label_first(new, uncertainty, known, 4)
    assert set(chosen[:2].tolist()) == {0, 2}
    assert len(set(chosen.tolist())) == 4
    assert len(label_first(new, uncertainty, known, 20)) == 5
