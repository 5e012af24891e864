"""Confidence intervals agree with SciPy, the literature and simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from headstart.evaluation.intervals import difference, paired_difference, wilson

SHARES = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=50)
@given(SHARES)
def test_the_interval_agrees_with_scipy(pair):
    """The closed form gives the same as `binomtest`."""
    expected = binomtest(*pair).proportion_ci(method="wilson")
    assert wilson(*pair) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_known_wilson_intervals():
    """8 of 10 gives 0.490 to 0.943 and 0 of 10 gives 0 to 0.278, as in the literature."""
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94331), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-4)


def test_known_intervals_of_a_difference():
    """56 of 70 and 48 of 80 give 0.0524 to 0.3339, as in Newcombe's (1998) table."""
    assert difference(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference(1.0, 10, 0.0, 10) == pytest.approx((0.6075, 1.0), abs=1e-4)


def test_without_images_the_interval_is_0_to_1():
    """Without an image the share may have any value."""
    assert wilson(0, 0) == (0.0, 1.0)


@given(SHARES)
def test_the_interval_contains_the_share(pair):
    """The measured share lies in its interval, which lies in 0..1."""
    correct, images = pair
    low, high = wilson(correct, images)
    assert 0 <= low <= correct / images + 1e-12
    assert correct / images - 1e-12 <= high <= 1


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_the_interval_has_its_nominal_coverage(share):
    """Of 500 simulated comparisons of equal models, at most one in ten excludes 0."""
    draw = np.random.default_rng(0)
    missed = 0
    for _ in range(500):
        first, second = draw.random((2, 400)) > share
        low, high = paired_difference(first, second)
        missed += not low <= 0 <= high
    assert missed <= 50


def test_the_difference_is_signed():
    """A better first model gives a positive interval, and swapping the models mirrors it."""
    good, bad = np.arange(1000) >= 10, np.arange(1000) >= 110
    low, high = paired_difference(good, bad)
    assert 0 < low < 0.1 < high
    assert paired_difference(bad, good) == pytest.approx((-high, -low))
