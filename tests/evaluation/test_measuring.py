"""Each metric has the interval that suits it."""

import numpy as np
import pytest

from headstart.evaluation.bootstrap import bootstrap
from headstart.evaluation.delong import hanley_mcneil, measure_auroc, perfect_interval
from headstart.evaluation.intervals import logit_interval, wilson
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.measuring import Measurement, measure
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Rate,
    f1,
    mean_of_values,
)

GROUPS = np.repeat(np.arange(20), 3)
POSITIVE = np.arange(60) % 2 == 0
SCORES = np.random.default_rng(0).normal(size=60) + POSITIVE
EVERYTHING = np.ones(60, bool)


def test_independent_images_have_closed_forms():
    """A rate has Wilson's interval and an AUROC DeLong's; anything else is bootstrapped."""
    hits = SCORES > 0
    assert measure(Rate(hits, POSITIVE)) == Measurement(
        (hits & POSITIVE).sum() / 30, wilson(int((hits & POSITIVE).sum()), 30), "Wilson"
    )
    area = measure_auroc(SCORES, POSITIVE)
    assert measure(AreaUnderRoc(SCORES, POSITIVE)) == Measurement(area.value, area.ci95, "DeLong")
    found = measure(f1(hits, POSITIVE))
    assert (found.ci95, found.method) == (bootstrap(f1(hits, POSITIVE)).ci95, "bootstrap")


@pytest.mark.parametrize("metric", [Rate(SCORES > 0, POSITIVE), AreaUnderRoc(SCORES, POSITIVE)])
def test_groups_are_resampled_as_a_whole(metric):
    """With groups, every metric has the interval of the cluster bootstrap of images that count."""
    rows = np.flatnonzero(metric.among) if isinstance(metric, Rate) else np.arange(60)
    expected = bootstrap(metric.take(rows), GROUPS[rows], resamples=500, seed=3)
    found = measure(metric, GROUPS, resamples=500, seed=3)
    assert found == Measurement(expected.value, expected.ci95, "cluster bootstrap", 0)


def test_groups_of_one_image_are_independent_images():
    """Where no image shares its group, the closed forms apply."""
    metric = AreaUnderRoc(SCORES, POSITIVE)
    assert measure(metric, np.arange(60)[::-1]) == measure(metric)


def test_perfect_rates_and_areas_of_groups():
    """They have the interval of as many independent images as there are groups."""
    perfect = Rate(EVERYTHING, EVERYTHING)
    assert measure(perfect, GROUPS) == Measurement(1.0, wilson(20, 20), "Wilson, groups")
    never = measure(Rate(~EVERYTHING, GROUPS < 7), GROUPS)
    assert (never.value, never.ci95, never.method) == (0.0, wilson(0, 7), "Wilson, groups")
    area = measure(AreaUnderRoc(GROUPS.astype(float), GROUPS >= 15), GROUPS)
    assert (area.value, area.ci95) == (1.0, perfect_interval(1.0, 5, 15))
    assert area.method == "Newcombe, groups"


def test_a_constant_metric_of_groups_has_no_interval():
    """Nothing is known about the spread of an F1 of 1, or of a mean that is equal everywhere."""
    assert measure(f1(POSITIVE, POSITIVE), GROUPS).ci95 is None
    assert measure(mean_of_values(np.ones(60))).ci95 is None


def test_undefined_metrics_have_neither_value_nor_interval():
    """No image counts, or all images are positive."""
    nothing = Rate(EVERYTHING, ~EVERYTHING)
    assert measure(nothing) == Measurement(None, None, "Wilson")
    assert measure(AreaUnderRoc(SCORES, EVERYTHING)) == Measurement(None, None, "DeLong")
    found = measure(nothing, GROUPS, resamples=50)
    assert found == Measurement(None, None, "cluster bootstrap", 50)


def test_a_mean_of_average_precisions_is_inside_its_interval():
    """Drawing images twice moves resamples up, so that their quantiles miss the value."""
    draw = np.random.default_rng(0)
    positive = draw.random((93, 100)) < 0.06
    labels = [(AveragePrecision(draw.random(93), one), np.arange(93)) for one in positive.T]
    mean = MacroMean.of(labels, 93)
    biased = bootstrap(mean, resamples=500)
    low, high = biased.ci95
    assert not low <= biased.value <= high
    found = measure(mean, resamples=500)
    assert (found.value, found.method) == (biased.value, "bootstrap")
    # The labels were drawn independently: their spread is the error of the mean. For probabilities
    # that say nothing, the jackknife is cautious.
    half = 1.96 * np.std([label.value for label in mean.labels], ddof=1) / 10
    assert 1 < np.ptp(found.ci95) / (2 * half) < 1.7
    assert found.ci95[0] < found.value < found.ci95[1]


@pytest.mark.parametrize(("images", "labels", "share"), [(200, 14, 0.05), (200, 1, 0.2)])
def test_average_precisions_are_covered(images, labels, share):
    """Of 100 intervals, 88 to 100% contain the mean of the average precision of 1,400 labels."""
    draw, found, rows = np.random.default_rng(0), [], np.arange(images)
    for seed in range(100):
        positive = draw.random((labels, images)) < share
        scores = draw.normal(size=positive.shape) + 1.2 * positive
        metrics = [(AveragePrecision(*one), rows) for one in zip(scores, positive, strict=True)]
        found.append(measure(MacroMean.of(metrics, images), resamples=200, seed=seed))
    true = np.mean([one.value for one in found])
    assert 88 <= sum(one.ci95[0] <= true <= one.ci95[1] for one in found) <= 100


def test_an_area_of_few_positive_groups_is_uncertain():
    """One positive patient of four images: the interval is that of one image, or wider."""
    groups = np.repeat(np.arange(30), 4)
    scores = np.random.default_rng(0).normal(size=120) + 2.0 * (groups == 0)
    area = AreaUnderRoc(scores, groups == 0)
    found, resampled = measure(area, groups), bootstrap(area, groups)
    low, high = logit_interval(found.value, np.sqrt(hanley_mcneil(found.value, 1, 29)))
    assert found.method == "Hanley-McNeil, groups"
    assert found.ci95 == (min(low, resampled.ci95[0]), max(high, resampled.ci95[1]))
    assert found.ci95[0] < 0.5 < resampled.ci95[0]
    mean = measure(MacroMean.of([(area, np.arange(120))] * 2, 120), groups)
    alone = measure(MacroMean.of([(area, np.arange(120))], 120), groups)
    assert mean.ci95[0] < resampled.ci95[0] - 0.1
    assert alone.ci95[0] < mean.ci95[0]


def test_a_perfect_mean_area_has_an_interval():
    """Two labels that are ranked perfectly, each below 1 by as much as the interval of one."""
    area = AreaUnderRoc(GROUPS.astype(float), GROUPS >= 15)
    mean = MacroMean.of([(area, np.arange(60))] * 2, 60)
    low, _ = perfect_interval(1.0, 5, 15)
    found = measure(mean, GROUPS)
    assert found.ci95 == pytest.approx((1 - (1 - low) / np.sqrt(2), 1.0))
    assert found.method == "Newcombe, groups"


def test_groups_without_images_that_count_add_no_certainty():
    """A sensitivity in 4 of 20 groups has the interval of these groups alone."""
    among = GROUPS < 4
    rate = Rate(SCORES > 0.5, among)
    alone = measure(Rate(rate.hits[among], among[among]), GROUPS[among])
    assert measure(rate, GROUPS) == alone
