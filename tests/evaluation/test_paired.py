"""Two models on the same images: differences, intervals and tests."""

import numpy as np
import pytest
from scipy.stats import binomtest

from headstart.evaluation.delong import compare_auroc
from headstart.evaluation.named_metrics import class_metrics
from headstart.evaluation.paired import compare, compare_metrics, mcnemar
from headstart.evaluation.weighted_metrics import AreaUnderRoc, Rate, mean_of_values


def flags(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return hits of two models: images both hit, only the first, only the second, neither."""
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first, second


@pytest.mark.parametrize(("only_first", "only_second"), [(1, 7), (7, 1), (6, 16), (0, 3)])
def test_the_mid_p_value_is_the_exact_one_less_half_of_what_was_observed(
    only_first: int, only_second: int
) -> None:
    """The first example is that of Fagerland, Lydersen and Laake (2013): 0.070 and 0.039."""
    exact = binomtest(only_first, only_first + only_second).pvalue
    observed = binomtest(only_first, only_first + only_second).statistic
    assert observed == only_first / (only_first + only_second)
    p = mcnemar(*flags(12, only_first, only_second, 1))
    assert p < exact
    if (only_first, only_second) == (1, 7):
        assert (round(exact, 3), round(p, 3)) == (0.07, 0.039)


def test_models_that_hit_the_same_images_do_not_differ() -> None:
    """Nor do models of which each hits as many images alone as the other."""
    assert mcnemar(*flags(5, 0, 0, 5)) == 1.0
    assert mcnemar(*flags(5, 3, 3, 5)) == pytest.approx(1.0)


def test_the_test_follows_from_the_metric_and_the_groups() -> None:
    """McNemar for accuracies, DeLong for two classes, else the bootstrap."""
    rng = np.random.default_rng(0)
    positive = rng.random(200) < 0.4
    one, other = positive + rng.normal(0, 1, 200), positive + rng.normal(0, 2, 200)
    area = compare(AreaUnderRoc(one, positive), AreaUnderRoc(other, positive))
    expected = compare_auroc(other, one, positive)
    assert expected is not None
    assert (area.method, area.p, area.ci95) == ("DeLong", expected.p, expected.ci95)
    assert area.value == pytest.approx(expected.value)
    every = np.ones(200, np.bool_)
    rates = Rate((one > 0.5) == positive, every), Rate((other > 0.5) == positive, every)
    assert compare(*rates).method == "McNemar, mid-p"
    grouped = compare(*rates, np.arange(200) // 4)
    assert grouped.method == "cluster bootstrap"
    losses = mean_of_values(rng.random(200)), mean_of_values(rng.random(200))
    assert compare(*losses).method == "bootstrap"


def test_copies_in_groups_add_no_certainty() -> None:
    """With every image four times, the interval is as wide as with one of each."""
    rng = np.random.default_rng(1)
    losses = rng.random(100), rng.random(100) + 0.1
    single = compare(*map(mean_of_values, losses))
    repeated = compare(
        *(mean_of_values(np.repeat(values, 4)) for values in losses), np.repeat(np.arange(100), 4)
    )
    assert single.ci95 is not None
    assert repeated.ci95 == pytest.approx(single.ci95, abs=0.01)
    assert repeated.p == pytest.approx(single.p, abs=0.03)


def test_equal_models_do_not_differ_and_undefined_metrics_are_named() -> None:
    """A difference of 0 in all resamples has the p-value 1."""
    values = mean_of_values(np.random.default_rng(2).random(50))
    same = compare(values, values, np.arange(50) // 2)
    assert (same.value, same.p) == (0.0, 1.0)
    nothing = AreaUnderRoc(np.zeros(5), np.ones(5, np.bool_))
    assert compare(nothing, nothing).method == "undefined"


def test_half_of_equal_models_are_ahead_and_a_twentieth_significantly() -> None:
    """In simulations of accuracy and log loss, intervals hold 0 and tests rarely raise alarms."""
    rng = np.random.default_rng(3)
    held, alarms, draws = dict[str, int](), dict[str, int](), 200
    for _ in range(draws):
        targets = rng.integers(0, 2, 120)
        found = []
        for _ in range(2):
            score = np.clip(0.5 + 0.3 * (targets - 0.5) + rng.normal(0, 0.2, 120), 0.01, 0.99)
            probabilities = np.stack([1 - score, score], axis=1)
            losses = -np.log(probabilities[np.arange(120), targets])
            found.append(class_metrics(probabilities, targets, (score > 0.5).astype(int), losses))
        for one in compare_metrics(*found):
            assert one.ci95 is not None
            assert one.p is not None
            held[one.metric] = held.get(one.metric, 0) + (one.ci95[0] <= 0 <= one.ci95[1])
            alarms[one.metric] = alarms.get(one.metric, 0) + (one.p < 0.05)
    assert all(0.9 <= count / draws <= 0.99 for count in held.values())
    assert all(0.01 <= count / draws <= 0.1 for count in alarms.values())
