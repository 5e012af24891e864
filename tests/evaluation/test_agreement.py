"""Estimates on folds and on another part are compared by the interval of their difference."""

import pytest

from headstart.evaluation.agreement import find_disagreement
from headstart.evaluation.intervals import wilson
from headstart.record import Estimate


def folds(correct, images=1000):
    """Return an estimate on folds."""
    return Estimate(correct / images, wilson(correct, images), 0.4, images)


def test_a_difference_beyond_its_interval_is_reported():
    """The message has both accuracies, the difference with its interval, reasons and advice."""
    found = find_disagreement(folds(990), "val", 0.8, 200, kept="copies")
    assert (found.part, found.folds, found.measured) == ("val", 0.99, 0.8)
    assert found.difference_ci95 == pytest.approx((0.1404, 0.2508), abs=1e-3)
    assert found.message == (
        "Cross-validation on the training part estimates an accuracy of 99.0%, but it is 80.0% on "
        "the validation part: a difference of 19.0 points (95% interval 14.0 to 25.1). Do not rely "
        "on the folds. The training part may contain series (near copies of one subject, bursts, "
        "photos of one shelf), which the folds tear apart; if so, keep each series together with "
        "--group. Otherwise, the two parts contain different kinds of images."
    )


@pytest.mark.parametrize("correct", [990, 500])
def test_folds_that_did_not_decide_are_not_warned_of(correct):
    """If the validation part chose the model, this is said instead of "do not rely on"."""
    found = find_disagreement(folds(correct), "val", 0.8, 200, kept="copies", val_decided=True)
    assert "chosen on the validation part, so the folds did not affect it. The " in found.message
    assert "Do not rely" not in found.message


@pytest.mark.parametrize("measured", [0.76, 0.84])
def test_a_difference_within_its_interval_is_not_reported(measured):
    """Four points may be chance with 200 images."""
    assert find_disagreement(folds(800), "test", measured, 200, kept="copies") is None


@pytest.mark.parametrize("measured", [0.76, 0.84])
def test_more_images_make_the_same_difference_certain(measured):
    """Four points are not chance with 5,000 images, whichever estimate is higher."""
    found = find_disagreement(folds(4000, 5000), "test", measured, 5000, kept="copies")
    assert (found.difference_ci95[0] > 0) == (measured < 0.8)


def test_the_reasons_depend_on_the_direction_and_the_groups():
    """Series make folds too high, and --group is not advised if there are groups."""
    grouped = find_disagreement(folds(990), "test", 0.8, 200, kept="groups").message
    assert grouped.endswith(
        "The groups may be too small to separate images that belong together, or the two parts "
        "contain different kinds of images."
    )
    too_low = find_disagreement(folds(800), "test", 0.99, 200, kept="copies").message
    assert too_low.endswith(
        "The test part may be easier, or the two parts contain different kinds of images."
    )
    series = find_disagreement(folds(800), "test", 0.99, 200, kept="series").message
    assert "it has images of the same series as the training part, and the folds are the" in series
