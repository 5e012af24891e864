"""Metrics of weighted images agree with scikit-learn, for many weights at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Difference,
    MeanOf,
    OfRows,
    Rate,
    f1,
    mean_of_values,
    measure_once,
)


def drawn(seed=0, images=40, ties=False):
    """Return scores, truth and three sets of whole weights, some of them 0."""
    draw = np.random.default_rng(seed)
    positive = np.arange(images) % 3 == 0
    scores = draw.normal(size=images) + positive
    weights = draw.integers(0, 4, (3, images)).astype(float)
    return (scores.round() if ties else scores), positive, weights


def every_metric(scores, positive):
    """Return pairs of a metric and the same metric of scikit-learn."""
    predicted = scores > 0.5
    everywhere = np.ones(len(scores), bool)
    return [
        (Rate(predicted == positive, everywhere), accuracy_score, predicted),
        (f1(predicted, positive), f1_score, predicted),
        (AreaUnderRoc(scores, positive), roc_auc_score, scores),
        (AveragePrecision(scores, positive), average_precision_score, scores),
    ]


@given(st.integers(0, 1000), st.booleans())
def test_weighted_metrics_agree_with_scikit_learn(seed, ties):
    """Each set of weights gives what `sample_weight` does, with ties and without."""
    scores, positive, weights = drawn(seed, ties=ties)
    for metric, reference, answers in every_metric(scores, positive):
        expected = [reference(positive, answers, sample_weight=row) for row in weights]
        assert metric(weights) == pytest.approx(expected)


@given(st.integers(0, 1000))
def test_weights_count_repeated_images(seed):
    """A weight of 3 is an image that appears three times; any function of rows sees that."""
    scores, positive, weights = drawn(seed)
    for metric, reference, answers in every_metric(scores, positive):
        of_rows = OfRows(
            lambda rows, reference=reference, answers=answers: reference(
                positive[rows], answers[rows]
            ),
            np.arange(40),
        )
        assert of_rows(weights) == pytest.approx(metric(weights))


def test_metrics_of_some_images():
    """`take` gives the metric of a subset, as weights of 0 for the others do."""
    scores, positive, _ = drawn()
    rows = np.flatnonzero(scores > -0.5)
    weights = (scores > -0.5)[np.newaxis].astype(float)
    every = [metric for metric, _, _ in every_metric(scores, positive)]
    every += [
        MeanOf(tuple(every)),
        Difference(every[0], every[1]),
        OfRows(lambda rows: float(scores[rows].sum()), np.arange(40)),
    ]
    for metric in every:
        assert (metric.images, metric.take(rows).images) == (40, len(rows))
        assert measure_once(metric.take(rows)) == pytest.approx(metric(weights)[0])


def test_rates_count_some_images_only():
    """Sensitivity: hits among the positive images."""
    predicted = np.array([True, False, True, True])
    positive = np.array([True, True, True, False])
    assert measure_once(Rate(predicted, positive)) == pytest.approx(2 / 3)


def test_means_and_differences():
    """A mean of values, the mean of two metrics and their difference."""
    low, high = mean_of_values(np.array([1.0, 2.0])), mean_of_values(np.array([5.0, 7.0]))
    weights = np.array([[1.0, 1.0], [3.0, 1.0]])
    assert low(weights).tolist() == [1.5, 1.25]
    assert MeanOf((low, high))(weights).tolist() == [3.75, 3.375]
    assert Difference(high, low)(weights).tolist() == [4.5, 4.25]


def test_undefined_metrics_are_nan():
    """Weights of positive images only leave the AUROC undefined; no weight at all, everything."""
    scores, positive, _ = drawn()
    weights = np.array([positive, ~positive, np.zeros(40)]).astype(float)
    area, precision, *_ = (
        AreaUnderRoc(scores, positive)(weights),
        AveragePrecision(scores, positive)(weights),
    )
    assert np.isnan(area).all()
    assert np.isnan(precision).tolist() == [False, True, True]
    assert np.isnan(MeanOf((mean_of_values(scores), AreaUnderRoc(scores, positive)))(weights)).all()
    nothing = OfRows(lambda rows: None, np.arange(2))
    assert measure_once(nothing) is None
    assert np.isnan(OfRows(lambda rows: 1.0, np.arange(2))(np.zeros((1, 2))))
