"""Points of ROC and precision-recall curves, and reliability bins."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from headstart.evaluation.label_curves import (
    calibration_error,
    label_bins,
    precision_recall_points,
    roc_points,
)
from headstart.record import LabelBin

PROBABILITY = np.array([0.9, 0.8, 0.6, 0.3, 0.2])
POSITIVE = np.array([True, True, False, True, False])


def test_a_short_roc_curve_has_all_its_points() -> None:
    """From (0, 0) to (1, 1): two hits, a false alarm, a hit, a false alarm."""
    assert roc_points(PROBABILITY, POSITIVE) == (
        (0.0, 0.0),
        (0.0, 0.3333),
        (0.0, 0.6667),
        (0.5, 0.6667),
        (0.5, 1.0),
        (1.0, 1.0),
    )


def test_precision_is_that_at_each_positive_image() -> None:
    """The third positive image has one negative image above it."""
    assert precision_recall_points(PROBABILITY, POSITIVE) == (
        (0.3333, 1.0),
        (0.6667, 1.0),
        (1.0, 0.75),
    )


def test_long_curves_are_thinned_but_keep_their_areas() -> None:
    """At most 100 points of 2,000 are kept, with both ends; the areas are those of all points."""
    draw = np.random.default_rng(0)
    positive = draw.random(2000) < 0.3
    probability = 1 / (1 + np.exp(-draw.normal(size=2000) - 1.5 * positive))
    roc = np.array(roc_points(probability, positive))
    curve = np.array(precision_recall_points(probability, positive))
    assert 80 < len(roc) <= 100
    assert len(curve) == 100
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]
    assert auc(*roc.T) == pytest.approx(roc_auc_score(positive, probability), abs=0.005)
    area = np.sum(np.diff(curve[:, 0], prepend=0) * curve[:, 1])
    assert area == pytest.approx(average_precision_score(positive, probability), abs=0.01)


def test_bins_compare_probability_and_frequency() -> None:
    """The bins of 0.61 and 0.65 are one; the error weighs bins by their images."""
    bins = label_bins(np.array([0.61, 0.65, 0.05]), np.array([True, False, False]))
    assert bins == (LabelBin(0.05, 0.0, 1), LabelBin(pytest.approx(0.63), 0.5, 2))
    assert calibration_error(bins) == pytest.approx((0.05 + 2 * 0.13) / 3)
