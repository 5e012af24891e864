"""Intervals against SciPy, against the literature and against repeated draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from headstart.evaluation.intervals import difference, wilson

SHARES = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=50)
@given(SHARES)
def test_the_interval_is_scipy_s(pair):
    """The closed form is what `binomtest` gives."""
    expected = binomtest(*pair).proportion_ci(method="wilson")
    assert wilson(*pair) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand():
    """8 of 10 is 0.490 to 0.943, 0 of 10 is 0 to 0.278, as in the literature."""
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94331), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-4)


def test_no_images_tell_nothing():
    """Without an image the share may be anything."""
    assert wilson(0, 0) == (0.0, 1.0)


@given(SHARES)
def test_the_interval_holds_the_share(pair):
    """The measured share lies in its interval, which lies in 0..1."""
    right, images = pair
    low, high = wilson(right, images)
    assert 0 <= low <= right / images + 1e-12
    assert right / images - 1e-12 <= high <= 1


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_the_interval_holds_the_truth_nearly_always(share):
    """Of 500 drawn experiments with equal models, at most one in ten excludes 0."""
    draw = np.random.default_rng(0)
    missed = 0
    for _ in range(500):
        one, other = draw.random((2, 400)) > share
        low, high = difference(one, other)
        missed += not low <= 0 <= high
    assert missed <= 50


def test_the_difference_is_signed():
    """Better first gives a positive interval, and the other way round the mirrored one."""
    good, bad = np.arange(1000) >= 10, np.arange(1000) >= 110
    low, high = difference(good, bad)
    assert 0 < low < 0.1 < high
    assert difference(bad, good) == pytest.approx((-high, -low))
