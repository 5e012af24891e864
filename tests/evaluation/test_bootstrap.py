"""The bootstrap agrees with SciPy, respects groups and covers in simulations."""

import numpy as np
import pytest
from scipy import stats

from headstart.evaluation.bootstrap import blocks, bootstrap, number_groups
from headstart.evaluation.weighted_metrics import OfRows, Rate, mean_of_values


def test_the_interval_agrees_with_scipy():
    """With 200 skewed numbers, it is SciPy's BCa interval of the mean."""
    values = np.random.default_rng(0).exponential(size=200)
    found = bootstrap(mean_of_values(values), resamples=20_000)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.ci95 == pytest.approx((expected.low, expected.high), abs=0.01)


def test_few_images_have_a_wider_interval_than_scipy():
    """With 5 numbers, the interval makes up for the spread being underestimated."""
    values = np.array([1.0, 2.0, 4.0, 5.0, 9.0])
    found = bootstrap(mean_of_values(values), resamples=20_000).ci95
    plain = stats.bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(0))
    assert found[1] - found[0] > 1.2 * np.ptp(plain.confidence_interval)


def test_the_same_seed_gives_the_same_interval():
    """Another seed gives another one."""
    metric = mean_of_values(np.random.default_rng(0).normal(size=50))
    assert bootstrap(metric, seed=1) == bootstrap(metric, seed=1) != bootstrap(metric, seed=2)


def test_the_interval_does_not_depend_on_how_much_is_computed_at_a_time(monkeypatch):
    """Small blocks draw the same resamples and leave out the same images."""
    metric = mean_of_values(np.random.default_rng(0).normal(size=50))
    whole = bootstrap(metric)
    monkeypatch.setattr("headstart.evaluation.bootstrap._BLOCK", 350)
    assert list(blocks(16, 50)) == [7, 7, 2]
    found = bootstrap(metric)
    assert found.ci95 == whole.ci95
    assert found.standard_error == pytest.approx(whole.standard_error)


def test_more_images_than_are_left_out_singly(monkeypatch):
    """Leaving out 100 blocks of images instead of 400 images gives nearly the same interval."""
    metric = mean_of_values(np.random.default_rng(0).exponential(size=400))
    single = bootstrap(metric).ci95
    monkeypatch.setattr("headstart.evaluation.bootstrap._JACKKNIFED", 100)
    assert bootstrap(metric).ci95 == pytest.approx(single, abs=0.003)


def test_the_standard_error_of_a_mean():
    """It is that of the textbook, larger as Student's t is for 5 numbers."""
    values = np.array([1.0, 2.0, 4.0, 5.0, 9.0])
    found = bootstrap(mean_of_values(values)).standard_error
    wider = np.sqrt(5 / 4) * stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975)
    assert found == pytest.approx(stats.sem(values) * wider)


def test_copies_of_an_image_add_no_certainty():
    """Four copies of each image, in a group, have the interval of the images alone."""
    values = np.random.default_rng(0).normal(size=60)
    copies, groups = np.repeat(values, 4), np.repeat(np.arange(60), 4)
    alone = bootstrap(mean_of_values(values))
    assert bootstrap(mean_of_values(copies), groups).ci95 == pytest.approx(alone.ci95)
    assert np.ptp(bootstrap(mean_of_values(copies)).ci95) < 0.6 * np.ptp(alone.ci95)


def test_groups_of_any_numbers():
    """Groups need not be numbered from 0, nor be sorted."""
    numbers, count = number_groups(np.array([70, 3, 70, 5]), 4)
    assert (numbers.tolist(), count) == ([2, 0, 2, 1], 3)
    assert number_groups(None, 3)[0].tolist() == [0, 1, 2]


def test_undefined_resamples_are_left_out_and_counted():
    """Two of four images count: a sixteenth of the resamples draws neither."""
    metric = Rate(np.array([True, False, True, True]), np.array([True, True, False, False]))
    found = bootstrap(metric, resamples=4000)
    assert found.value == 0.5
    assert found.resamples == 4000
    assert found.undefined == pytest.approx(4000 / 16, abs=60)
    assert found.ci95 == (0.0, 1.0)


def test_an_undefined_metric_has_no_interval():
    """No image counts: all resamples are undefined."""
    found = bootstrap(Rate(np.ones(3, bool), np.zeros(3, bool)), resamples=100)
    assert (found.value, found.ci95, found.undefined) == (None, None, 100)


def test_a_metric_that_never_varies_has_no_interval():
    """Resamples that all agree, up to rounding, and a single group say nothing about the spread."""
    values = np.random.default_rng(0).normal(size=9)
    for metric, groups in (
        (Rate(np.ones(9, bool), np.ones(9, bool)), None),
        (mean_of_values(np.full(9, 0.1)), None),
        (mean_of_values(values), np.zeros(9, int)),
    ):
        found = bootstrap(metric, groups, resamples=100)
        assert found.value is not None
        assert (found.ci95, found.undefined) == (None, 0)


def test_two_groups_and_one_outlier_have_a_finite_interval():
    """The most extreme cases stay within the values of the resamples."""
    values = np.array([0.0, 0.0, 0.0, 100.0])
    low, high = bootstrap(mean_of_values(values)).ci95
    assert (low, high) == (0.0, 100.0)
    low, high = bootstrap(mean_of_values(values), np.array([0, 0, 1, 1])).ci95
    assert (low, high) == (0.0, 50.0)


def test_any_function_of_rows():
    """The median, which no sum of weights gives, has SciPy's interval."""
    values = np.random.default_rng(0).normal(size=101)
    metric = OfRows(lambda rows: float(np.median(values[rows])), np.arange(101))
    expected = stats.bootstrap((values,), np.median, rng=np.random.default_rng(0))
    found = bootstrap(metric).ci95
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.05)


def test_the_cluster_bootstrap_covers():
    """Of 200 intervals of an accuracy of 0.8 from 40 correlated groups, 91 to 99% contain it."""
    draw, covered = np.random.default_rng(0), 0
    groups, everything = np.repeat(np.arange(40), 5), np.ones(200, bool)
    for seed in range(200):
        hits = np.repeat(draw.normal(size=40), 5) + draw.normal(size=200) < np.sqrt(2) * 0.84162
        low, high = bootstrap(Rate(hits, everything), groups, resamples=500, seed=seed).ci95
        covered += low <= 0.8 <= high
    assert 182 <= covered <= 198
