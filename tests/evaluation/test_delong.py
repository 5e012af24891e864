"""AUROC by DeLong agrees with its definition, with scikit-learn and with simulations."""

from math import hypot, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from headstart.evaluation.delong import compare_auroc, measure_auroc, perfect_interval


def drawn(images=80, *, separation=1.0, seed=0, ties=False):
    """Return normal scores, of which half are of positive images."""
    positive = np.arange(images) < images // 2
    scores = np.random.default_rng(seed).normal(size=images) + separation * positive
    return (scores.round() if ties else scores), positive


def placements(scores, positive):
    """Return the components of DeLong's variance by comparing all pairs."""
    first, second = scores[positive][:, None], scores[~positive]
    ahead = (first > second) + 0.5 * (first == second)
    return ahead.mean(axis=1), ahead.mean(axis=0)


@given(st.integers(0, 1000), st.booleans())
def test_area_and_error_agree_with_their_definition(seed, ties):
    """The fast form gives what comparing all pairs does, with ties and without."""
    scores, positive = drawn(separation=0.5, seed=seed, ties=ties)
    found = measure_auroc(scores, positive)
    of_positives, of_negatives = placements(scores, positive)
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    variance = of_positives.var(ddof=1) / 40 + of_negatives.var(ddof=1) / 40
    assert found.standard_error == pytest.approx(sqrt(variance))


def test_the_interval_is_symmetric_on_the_logit_scale():
    """Its half width is 1.96 standard errors of the logit."""
    found = measure_auroc(*drawn())
    low, high = logit(found.ci95)
    assert (low + high) / 2 == pytest.approx(logit(found.value))
    error = found.standard_error / (found.value * (1 - found.value))
    assert (high - low) / 2 == pytest.approx(norm.ppf(0.975) * error)


def test_the_interval_of_swapped_classes_is_mirrored():
    """An AUROC of 1 - a has the interval of a, turned around."""
    scores, positive = drawn()
    found, swapped = measure_auroc(scores, positive), measure_auroc(scores, ~positive)
    assert swapped.value == pytest.approx(1 - found.value)
    assert swapped.ci95 == pytest.approx((1 - found.ci95[1], 1 - found.ci95[0]))


@pytest.mark.parametrize("truth", [np.zeros(5, bool), np.ones(5, bool)])
def test_one_class_has_no_area(truth):
    """With images of one class only, neither an AUROC nor a difference is defined."""
    assert measure_auroc(np.arange(5.0), truth) is None
    assert compare_auroc(np.arange(5.0), np.ones(5), truth) is None


def test_a_perfect_ranking_is_not_certain():
    """With 10 images of each class, an AUROC of 1 has an interval from 0.80 on; 0 mirrors it."""
    positive = np.arange(20) >= 10
    found = measure_auroc(np.arange(20.0), positive)
    assert (found.value, found.standard_error) == (1.0, 0.0)
    assert found.ci95 == pytest.approx((0.8002, 1.0), abs=1e-4)
    assert measure_auroc(-np.arange(20.0), positive).ci95 == pytest.approx((0, 0.1998), abs=1e-4)


def test_the_interval_of_a_perfect_ranking_solves_its_equation():
    """At the lower limit, 1 is 1.96 standard errors away, for 5 and 20 images (Newcombe, 2006)."""
    low, high = perfect_interval(1.0, 5, 20)
    others = 25 / 2 - 1
    variance = low * (1 - low) * (1 + others * ((1 - low) / (2 - low) + low / (1 + low))) / 100
    assert 1 - low == pytest.approx(norm.ppf(0.975) * sqrt(variance))
    assert high == 1.0


def test_a_single_positive_image_has_an_interval():
    """DeLong's variance is undefined there; that of Hanley and McNeil is used."""
    found = measure_auroc(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.arange(5) == 3)
    assert found.value == 0.75
    pairs = 1 + 1.5 * (0.25 / 1.25 + 0.75 / 1.75)
    assert found.standard_error == pytest.approx(sqrt(0.75 * 0.25 * pairs / 4))
    assert 0 < found.ci95[0] < 0.2 and 0.95 < found.ci95[1] < 1


@pytest.mark.parametrize(("positives", "spread"), [(10, 1.0), (10, 2.0), (25, 2.0)])
def test_the_interval_covers_with_few_positive_images(positives, spread):
    """Of 300 intervals of an AUROC of 0.95, at least 91% contain it; DeLong's alone: 79 to 89%."""
    draw, covered = np.random.default_rng(0), 0
    positive = np.arange(200) < positives
    shift = hypot(1, spread) * norm.ppf(0.95)
    for _ in range(300):
        scores = draw.normal(size=200)
        scores[positive] = spread * scores[positive] + shift
        low, high = measure_auroc(scores, positive).ci95
        covered += low <= 0.95 <= high
    assert covered >= 273


@given(st.integers(0, 1000), st.booleans())
def test_the_difference_agrees_with_its_definition(seed, ties):
    """Its variance is that of the differences of placements, which includes the covariance."""
    first, positive = drawn(seed=seed, ties=ties)
    second, _ = drawn(seed=seed + 5000, separation=0.5)
    found = compare_auroc(first, second, positive)
    one, other = placements(first, positive), placements(second, positive)
    gain = roc_auc_score(positive, first) - roc_auc_score(positive, second)
    variance = sum((a - b).var(ddof=1) / 40 for a, b in zip(one, other, strict=True))
    assert found.value == pytest.approx(gain)
    assert found.standard_error == pytest.approx(sqrt(variance))
    half = norm.ppf(0.975) * sqrt(variance)
    assert found.ci95 == pytest.approx((gain - half, gain + half))
    assert found.p == pytest.approx(2 * norm.sf(abs(gain) / sqrt(variance)))


def test_the_paired_test_keeps_its_level():
    """Of 400 comparisons of equally good, correlated models, about 5% find a difference."""
    draw, found = np.random.default_rng(0), 0
    positive = np.arange(200) < 80
    for _ in range(400):
        shared = draw.normal(size=200) + 1.5 * positive
        first, second = shared + 0.5 * draw.normal(size=(2, 200))
        found += compare_auroc(first, second, positive).p < 0.05
    assert 10 <= found <= 32


def test_a_model_does_not_differ_from_itself():
    """The difference is 0 without doubt."""
    scores, positive = drawn()
    found = compare_auroc(scores, scores, positive)
    assert (found.value, found.ci95, found.p) == (0.0, (0.0, 0.0), 1.0)


def test_two_perfect_models_may_differ():
    """Two AUROCs of 1 combine their intervals: 10 images of each class do not prove equality."""
    positive = np.arange(20) >= 10
    found = compare_auroc(np.arange(20.0), np.arange(20.0) ** 2, positive)
    assert (found.value, found.p) == (0.0, 1.0)
    assert found.ci95 == pytest.approx((-0.1998, 0.1998), abs=1e-4)


def test_a_single_positive_image_compares_as_independent():
    """The covariance cannot be estimated, so both variances are added."""
    positive = np.arange(5) == 3
    first, second = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 3, 4, 2, 1])
    found = compare_auroc(first, second, positive)
    one, other = measure_auroc(first, positive), measure_auroc(second, positive)
    assert found.value == 0.5
    assert found.standard_error == hypot(one.standard_error, other.standard_error)
    below = hypot(one.value - one.ci95[0], other.ci95[1] - other.value)
    above = hypot(one.ci95[1] - one.value, other.value - other.ci95[0])
    assert found.ci95 == pytest.approx((0.5 - below, 0.5 + above))
