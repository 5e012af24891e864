"""Prediction sets keep their coverage, and abstention its share of errors."""

import numpy as np
import pytest

from headstart.evaluation.abstention import abstain_for, lowest_error
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.conformal import SetRule
from headstart.evaluation.limits import measure_limits


def drawn(images: int, seed: int, classes: int = 4, sharpness: float = 1.5):
    """Draw probabilities, and true classes that follow a flatter version of them."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(images, classes)) * sharpness
    truth = scores + draw.gumbel(size=scores.shape) * 1.5  # The model is overconfident.
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return probabilities, truth.argmax(axis=1)


def calibration(images: int, seed: int, **named) -> CalibrationSet:
    return CalibrationSet.of(*drawn(images, seed, **named), seed=0)


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_sets_keep_their_coverage(method):
    """Over many calibrations, sets contain the true label of 90% of new images."""
    covered = []
    for seed in range(40):
        rule = SetRule.of(calibration(400, seed), 0.9, method)
        probabilities, truth = drawn(2000, 1000 + seed)
        covered.append(rule.sets(probabilities)[np.arange(2000), truth].mean())
    assert 0.89 <= np.mean(covered) <= 0.92


def test_sets_keep_their_coverage_within_classes():
    """A class with enough images has a threshold of its own; a rare one that of all images."""
    probabilities, truth = drawn(4000, 0)
    probabilities[truth == 1, 1] *= 0.2  # The model underrates one class.
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rule = SetRule.of(CalibrationSet.of(probabilities[:2000], truth[:2000], seed=0), 0.9)
    members = rule.sets(probabilities[2000:])[np.arange(2000), truth[2000:]]
    for number in range(4):
        assert members[truth[2000:] == number].mean() == pytest.approx(0.9, abs=0.06)
    few = CalibrationSet.of(probabilities[:60], truth[:60], seed=0)
    assert len(set(SetRule.of(few, 0.9).thresholds)) == 1


def test_with_too_few_images_every_label_is_in_the_set():
    """Nine images cannot promise 99%."""
    assert SetRule.of(calibration(9, 0), 0.99).sets(drawn(5, 1)[0]).all()


def test_aps_gives_the_same_set_for_the_same_image():
    """The random share of a label is drawn from the image's own probabilities."""
    rule, probabilities = SetRule.of(calibration(300, 0), 0.9, "aps"), drawn(50, 1)[0]
    together = rule.sets(probabilities)
    alone = np.concatenate([rule.sets(row[np.newaxis]) for row in probabilities[::-1]])[::-1]
    assert (together == alone).all()


@pytest.mark.parametrize(
    ("images", "max_error", "sharpness"), [(300, 0.1, 4), (1000, 0.05, 4), (1000, 0.02, 12)]
)
def test_abstention_keeps_its_promise(images, max_error, sharpness):
    """On new images, errors are more frequent than was asked for in at most a tenth of draws."""
    broken = granted = 0
    for seed in range(60):
        found = abstain_for(calibration(images, seed, sharpness=sharpness), max_error)
        if found is None:
            continue
        granted += 1
        probabilities, truth = drawn(20_000, 500 + seed, sharpness=sharpness)
        answered = probabilities.max(axis=1).astype(np.float32) >= found.confidence
        assert answered.any()
        wrong = (probabilities.argmax(axis=1) != truth)[answered]
        broken += wrong.mean() > max_error
    assert granted > 10
    assert broken <= 0.1 * granted + 2


def test_abstention_that_cannot_be_promised():
    """200 images do not show that only 0.1% of the answers are wrong; a possible share is named."""
    few = calibration(200, 0, sharpness=4)
    assert abstain_for(few, 0.001) is None
    lowest = lowest_error(few)
    assert lowest is not None
    assert abstain_for(few, lowest) is not None
    hopeless = CalibrationSet.of(np.full((50, 2), 0.5), np.arange(50) % 2, seed=0)
    assert lowest_error(hopeless) is None


def test_equal_confidence_is_answered_together():
    """The threshold never splits images of equal confidence, also where all are certain."""
    probabilities = np.array([[0.9, 0.1]] * 150 + [[0.6, 0.4]] * 50)
    truth = np.array([0] * 150 + [0] * 30 + [1] * 20)
    found = abstain_for(CalibrationSet.of(probabilities, truth, seed=0), 0.05)
    assert found is not None
    assert (found.confidence, found.answered, found.error) == (pytest.approx(0.9), 0.75, 0.0)
    certain = np.array([[1 - 1e-9, 1e-9]] * 200)
    sure = abstain_for(CalibrationSet.of(certain, np.zeros(200, int), seed=0), 0.1)
    assert sure is not None
    assert sure.answers(certain[0])


def test_a_large_set_is_sampled():
    """Of many images with many classes, a reproducible sample is kept."""
    probabilities, truth = np.full((3000, 1000), 0.001), np.arange(3000) % 1000
    kept = CalibrationSet.of(probabilities, truth, seed=3)
    assert len(kept) == 1000
    assert (kept.targets == CalibrationSet.of(probabilities, truth, seed=3).targets).all()


def test_arrays_round_trip():
    """A set is the same after it was saved."""
    before = calibration(30, 0)
    after = CalibrationSet.from_arrays(before.to_arrays())
    assert (after.probabilities == before.probabilities).all()
    assert (after.targets == before.targets).all()


def test_limits_are_measured():
    """The results say what was asked for and what was measured, also as sentences."""
    probabilities, truth = drawn(500, 7)
    unknown = np.arange(500) < 30
    measured = measure_limits(calibration(800, 0), unknown, probabilities, truth)
    assert measured.unknown == 0.06
    assert [(one.method, one.coverage) for one in measured.sets] == [
        ("lac", 0.9),
        ("lac", 0.95),
        ("aps", 0.9),
    ]
    first = measured.sets[0]
    assert first.measured_ci95[0] < first.measured < first.measured_ci95[1]
    assert measured.sentences[0].startswith("Prediction sets for 90% contain the true label of ")
    assert measured.sentences[-1] == (
        "6.0% of them are called unknown; of images like the training images, about 5% are."
    )
    nothing = measure_limits(None, None, probabilities, truth)
    assert nothing.sentences == ()
    assert nothing.to_json()["unknown"] is None
