"""Figures at a threshold agree with the literature and with numbers worked out by hand."""

from math import exp, log, sqrt

import numpy as np
import pytest

from headstart.errors import OptionError
from headstart.evaluation.bootstrap import bootstrap
from headstart.evaluation.diagnostic_accuracy import (
    at_prevalence,
    likelihood_ratio,
    measure_at_threshold,
)
from headstart.evaluation.intervals import wilson
from headstart.evaluation.weighted_metrics import Rate


def table(tp, fp, tn, fn):
    """Return probabilities and truth with these numbers of images at a threshold of 0.5."""
    probabilities = np.repeat([0.5, 0.9, 0.4999, 0.1], [tp, fp, tn, fn])
    return probabilities, np.repeat([True, False, False, True], [tp, fp, tn, fn])


def test_rates_by_hand():
    """Of 50 positive and 100 negative images, 40 and 90 are recognised."""
    found = measure_at_threshold(*table(40, 10, 90, 10), 0.5)
    assert found.threshold == 0.5
    assert (found.true_positives, found.false_positives) == (40, 10)
    assert (found.true_negatives, found.false_negatives) == (90, 10)
    for rate, hits, images in (
        (found.sensitivity, 40, 50),
        (found.specificity, 90, 100),
        (found.ppv, 40, 50),
        (found.npv, 90, 100),
    ):
        assert (rate.value, rate.ci95) == (hits / images, wilson(hits, images))


def test_likelihood_ratios_by_hand():
    """They are 0.8 / 0.1 and 0.2 / 0.9, with the interval of Simel, Samsa and Matchar (1991)."""
    found = measure_at_threshold(*table(40, 10, 90, 10), 0.5)
    raised, lowered = found.positive_likelihood_ratio, found.negative_likelihood_ratio
    assert raised.value == pytest.approx(8)
    error = sqrt(1 / 40 - 1 / 50 + 1 / 10 - 1 / 100)
    assert raised.ci95 == pytest.approx((8 * exp(-1.96 * error), 8 * exp(1.96 * error)), rel=1e-4)
    assert lowered.value == pytest.approx(0.2 / 0.9)
    error = sqrt(1 / 10 - 1 / 50 + 1 / 90 - 1 / 100)
    bounds = [0.2 / 0.9 * exp(sign * 1.96 * error) for sign in (-1, 1)]
    assert lowered.ci95 == pytest.approx(bounds, rel=1e-4)
    assert not raised.corrected and not lowered.corrected


def test_an_empty_cell_is_corrected():
    """Without a false alarm the ratio would be infinite: half an image is added to each cell."""
    found = measure_at_threshold(*table(40, 0, 100, 10), 0.5)
    ratio = found.positive_likelihood_ratio
    assert ratio.corrected
    assert ratio.value == pytest.approx((40.5 / 51) / (0.5 / 101))
    error = sqrt(1 / 40.5 - 1 / 51 + 1 / 0.5 - 1 / 101)
    assert log(ratio.ci95[1] / ratio.value) == pytest.approx(1.96 * error, rel=1e-4)
    assert found.specificity.ci95 == wilson(100, 100)


def test_a_threshold_that_all_images_reach():
    """A positive prediction says nothing, and there is no negative one."""
    found = measure_at_threshold(*table(5, 9, 0, 0), 0.5)
    assert (found.npv.value, found.npv.ci95) == (None, None)
    assert found.negative_likelihood_ratio is None
    low, high = found.positive_likelihood_ratio.ci95
    assert low < 1 < high


def test_a_threshold_that_no_image_reaches():
    """There is no positive prediction, so its value is unknown."""
    found = measure_at_threshold(*table(0, 0, 9, 5), 0.5)
    assert (found.ppv.value, found.positive_likelihood_ratio) == (None, None)
    values = at_prevalence(found, 0.1)
    assert (values.ppv, values.ppv_ci95) == (None, None)
    assert values.npv_ci95[0] < 0.9 < values.npv_ci95[1]


@pytest.mark.parametrize("cells", [(3, 0, 0, 2), (0, 3, 2, 0)])
def test_images_of_one_class(cells):
    """Without the other class there is no likelihood ratio, and the other rate is undefined."""
    found = measure_at_threshold(*table(*cells), 0.5)
    assert found.positive_likelihood_ratio is None and found.negative_likelihood_ratio is None
    assert (found.sensitivity.value is None) == (cells[0] == 0)
    assert (found.specificity.value is None) == (cells[1] == 0)


def test_predictive_values_by_hand():
    """At a prevalence of 2%, sensitivity 0.8 and specificity 0.9 give a PPV of 16 / 114."""
    found = measure_at_threshold(*table(40, 10, 90, 10), 0.5)
    values = at_prevalence(found, 0.02)
    assert values.prevalence == 0.02
    assert values.ppv == pytest.approx(0.016 / (0.016 + 0.098))
    assert values.npv == pytest.approx(0.882 / (0.882 + 0.004))
    odds, (low, high) = 0.02 / 0.98, found.positive_likelihood_ratio.ci95
    assert values.ppv_ci95 == pytest.approx(
        (odds * low / (1 + odds * low), odds * high / (1 + odds * high))
    )
    low, high = found.negative_likelihood_ratio.ci95
    assert values.npv_ci95 == pytest.approx((1 / (1 + odds * high), 1 / (1 + odds * low)))


def test_predictive_values_at_the_prevalence_of_the_test_images():
    """There, Bayes' theorem gives the measured PPV and NPV."""
    found = measure_at_threshold(*table(40, 10, 90, 10), 0.5)
    values = at_prevalence(found, 1 / 3)
    assert (values.ppv, values.npv) == pytest.approx((found.ppv.value, found.npv.value))


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_an_impossible_prevalence(prevalence):
    """It is refused with its value."""
    found = measure_at_threshold(*table(4, 1, 9, 1), 0.5)
    message = f"^prevalence must be above 0 and below 1. Got {prevalence:g}.$"
    with pytest.raises(OptionError, match=message):
        at_prevalence(found, prevalence)


def test_groups_widen_every_interval():
    """Four copies of each image, in a group, are worth a single image."""
    probabilities, positive = table(40, 10, 90, 10)
    groups = np.repeat(np.arange(150), 4)
    alone = measure_at_threshold(probabilities, positive, 0.5)
    found = measure_at_threshold(np.repeat(probabilities, 4), np.repeat(positive, 4), 0.5, groups)
    assert found.sensitivity.method == "cluster bootstrap"
    hits = np.repeat(probabilities[positive] >= 0.5, 4)
    expected = bootstrap(Rate(hits, np.ones(200, bool)), np.repeat(np.arange(50), 4)).ci95
    assert found.sensitivity.ci95 == expected
    for ratio in ("positive_likelihood_ratio", "negative_likelihood_ratio"):
        one, other = getattr(alone, ratio), getattr(found, ratio)
        assert other.value == pytest.approx(one.value)
        # Student's t for the 50 groups that are positive: 2.0096.
        wider = 2.0096 / 1.96 * sqrt(50 / 49)
        assert np.ptp(np.log(other.ci95)) == pytest.approx(wider * np.ptp(np.log(one.ci95)), 1e-4)


def test_a_single_group_has_no_interval():
    """One patient says nothing about others."""
    probabilities, positive = table(4, 1, 9, 1)
    found = measure_at_threshold(probabilities, positive, 0.5, np.zeros(15, int))
    assert found.sensitivity.ci95 is None
    assert found.positive_likelihood_ratio.ci95 is None
    values = at_prevalence(found, 0.1)
    assert values.ppv == pytest.approx(0.08 / (0.08 + 0.09))
    assert (values.ppv_ci95, values.npv_ci95) == (None, None)


def test_one_positive_group_gives_no_likelihood_ratio_an_interval():
    """Many healthy patients do not make up for a single ill one."""
    probabilities, positive = table(4, 1, 9, 1)
    groups = np.where(positive, 0, np.arange(15))
    assert likelihood_ratio(probabilities >= 0.5, positive, groups).ci95 is None


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_of_likelihood_ratios_cover(grouped):
    """Of 400 intervals of a ratio of 0.8 / 0.2, 92 to 98% contain it."""
    draw, covered = np.random.default_rng(0), 0
    groups = np.repeat(np.arange(60), 3)
    for _ in range(400):
        positive = draw.random(180) < 0.4
        # All three images of a group are mistaken, or none is.
        wrong = np.repeat(draw.random(60) < 0.2, 3) if grouped else draw.random(180) < 0.2
        predicted = positive ^ wrong
        low, high = likelihood_ratio(predicted, positive, groups if grouped else None).ci95
        covered += low <= 4 <= high
    assert 368 <= covered <= 392
