"""The interval of the macro AUROC by DeLong's method."""

import numpy as np
import pytest
from scipy.special import logit

from headstart.evaluation.delong import measure_auroc
from headstart.evaluation.label_results import Label, Sample
from headstart.evaluation.macro_auroc import measure_macro_auroc
from headstart.record import MetricValue

SAMPLE = Sample(200, None, 2000)


def label(seed: int, images: int = 200, *, first: int = 0) -> Label:
    """Return a label of some images, whose rows start at `first`."""
    draw = np.random.default_rng(seed)
    positive = draw.random(images) < 0.4
    rows = np.arange(first, first + images)
    return Label("a", 0.5, rows, draw.normal(size=images) + 1.2 * positive, positive, SAMPLE)


def standard_error(metric: MetricValue) -> float:
    """Return the standard error that the interval on the logit scale implies."""
    low, high = logit(np.array(metric.ci95))
    return float((high - low) / 2 / 1.959963984540054 * metric.value * (1 - metric.value))


def test_one_label_has_its_own_interval() -> None:
    """The mean of one label is that of `measure_auroc`."""
    one = label(0)
    area = measure_auroc(one.probability, one.positive)
    found = measure_macro_auroc([one], 200)
    assert found.value == pytest.approx(area.value)
    assert found.ci95 == pytest.approx(area.ci95)
    assert found.method == "DeLong"


def test_a_label_twice_is_no_more_certain() -> None:
    """Two equal labels have a correlation of 1, so their mean has the interval of each."""
    one = label(0)
    assert measure_macro_auroc([one, one], 200).ci95 == pytest.approx(
        measure_macro_auroc([one], 200).ci95
    )


def test_labels_of_different_images_are_independent() -> None:
    """The variance of the mean is the sum of both variances, over 4."""
    first, second = label(1), label(2, first=200)
    errors = [standard_error(measure_macro_auroc([each], 400)) for each in (first, second)]
    found = measure_macro_auroc([first, second], 400)
    assert standard_error(found) == pytest.approx(np.hypot(*errors) / 2)


def test_opposite_labels_cancel_out() -> None:
    """If one label is ranked as badly as the other is well, the mean is certainly a half."""
    one = label(0)
    other = Label("b", 0.5, one.rows, -one.probability, one.positive, SAMPLE)
    found = measure_macro_auroc([one, other], 200)
    assert found.value == pytest.approx(0.5)
    assert found.ci95 == pytest.approx((0.5, 0.5))


def test_perfect_labels_are_not_certain() -> None:
    """With few images that are ranked perfectly, the interval is not a point."""
    positive = np.array([True, True, True, False, False, False])
    rows = np.arange(6)
    perfect = Label("a", 0.5, rows, positive.astype(float), positive, SAMPLE)
    area = measure_auroc(perfect.probability, positive)
    found = measure_macro_auroc([perfect, perfect], 6)
    assert found.value == 1
    low, high = found.ci95
    assert area.ci95[0] < low < 1 == high


def test_a_label_that_is_not_measurable_is_refused() -> None:
    """The caller leaves out such labels."""
    none = Label("c", 0.5, np.arange(2), np.zeros(2), np.zeros(2, bool), SAMPLE)
    with pytest.raises(ValueError, match="'c' is not measurable"):
        measure_macro_auroc([none], 2)
