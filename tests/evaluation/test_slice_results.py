"""The metrics of slices, for one and for several labels per image."""

import numpy as np
import pytest

from headstart.answers import Thresholds
from headstart.record import MetricValue, SliceResult, SliceResults
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single

SITE = {"site": ["A"] * 4 + ["B"] * 4}


def single():
    """Evaluate eight images of two classes; those of site "B" have one mistake."""
    positive = np.array([0.1, 0.2, 0.8, 0.9, 0.1, 0.7, 0.6, 0.9])
    targets = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    probabilities = np.stack([1 - positive, positive], axis=1)
    return Single().evaluate(probabilities, targets, ("no", "yes"), slices=SITE)


def test_single_labels_by_slice() -> None:
    """Site "B" is first: of four images, three are right, and of four pairs, three ranked."""
    found = single().slices
    assert (found.tested, found.metrics) == (
        "accuracy",
        ("accuracy", "macro_f1", "auroc", "log_loss"),
    )
    worst, best = found.slices
    assert (worst.column, worst.value, worst.images) == ("site", "B", 4)
    assert worst.metrics["accuracy"].value == 0.75
    assert worst.metrics["accuracy"].method == "Wilson"
    assert worst.metrics["auroc"].value == 0.75
    # F1 of "no" is 2/3, with 1 of 2 found and no other predicted; of "yes" 4/5.
    assert worst.metrics["macro_f1"].value == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert worst.metrics["log_loss"].value == pytest.approx(-np.log([0.9, 0.3, 0.6, 0.9]).mean())
    assert (best.metrics["accuracy"].value, best.metrics["auroc"].value) == (1.0, 1.0)
    assert (worst.difference, best.difference) == (-0.25, 0.25)
    assert not worst.differs


def test_the_operating_point_by_slice() -> None:
    """With a threshold of 0.75, site "B" has a sensitivity of 1/2 and a specificity of 1."""
    positive = np.array([0.1, 0.2, 0.8, 0.9, 0.1, 0.7, 0.6, 0.9])
    probabilities = np.stack([1 - positive, positive], axis=1)
    targets = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    point = Thresholds("f1", (0.25, 0.75), ("", ""), 1)
    found = Single().evaluate(probabilities, targets, ("no", "yes"), thresholds=point, slices=SITE)
    metrics = found.slices.slices[0].metrics
    names = ("sensitivity", "specificity", "ppv", "npv")
    assert [metrics[name].value for name in names] == [0.5, 1.0, 1.0, pytest.approx(2 / 3)]


def test_several_labels_by_slice() -> None:
    """Unknown values do not count, and a label that a slice lacks is in none of its means."""
    probabilities = np.array(
        [[0.9, 0.2], [0.2, 0.8], [0.8, 0.9], [0.1, 0.1], [0.3, 0.4], [0.6, 0.3], [0.7, 0.2]]
    )
    targets = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 0], [1, -1]])
    slices = {"site": ["A"] * 4 + ["B"] * 3}
    found = Multi().evaluate(probabilities, targets, ("x", "y"), slices=slices).slices
    worst, best = found.slices
    assert (found.tested, worst.value, best.value) == ("macro_auroc", "B", "A")
    # Label "x" at site "B": of the pairs (0.3, 0.6) and (0.7, 0.6), one is right. "y" is absent.
    assert worst.metrics["macro_auroc"].value == 0.5
    # The positive images are first and third: (1/1 + 2/3) / 2.
    assert worst.metrics["macro_ap"].value == pytest.approx((1 + 2 / 3) / 2)
    assert worst.metrics["macro_f1"].value == pytest.approx(0.5)
    assert worst.metrics["subset_accuracy"].value == pytest.approx(1 / 3)
    losses = -np.log([0.3, 0.6, 0.4, 0.7, 0.7])
    assert worst.metrics["log_loss"].value == pytest.approx(losses.mean())
    assert [best.metrics[name].value for name in ("macro_auroc", "macro_ap")] == [1.0, 1.0]


def test_slices_are_compared_over_labels_of_both_sides() -> None:
    """All images at "B" have y, and none has x: it has no mean and is not tested."""
    probabilities = np.array([[0.9, 0.2], [0.2, 0.8], [0.6, 0.3], [0.7, 0.2]])
    targets = np.array([[1, 0], [0, 1], [0, 1], [0, 1]])
    slices = {"site": ["A", "A", "B", "B"]}
    found = Multi().evaluate(probabilities, targets, ("x", "y"), slices=slices).slices
    assert [one.value for one in found.slices] == ["A", "B"]
    for one in found.slices:
        assert (one.difference, one.p, one.adjusted_p) == (None, None, None)
    metrics = found.slices[1].metrics
    assert [metrics[f"macro_{name}"].value for name in ("auroc", "ap", "f1")] == [None] * 3


def test_labels_that_cannot_be_ranked_anywhere() -> None:
    """If every image has every label, the subset accuracy is compared."""
    probabilities, targets = np.array([[0.9], [0.2], [0.8]]), np.ones((3, 1), np.int64)
    found = (
        Multi().evaluate(probabilities, targets, ("x",), slices={"site": ["A", "B", "B"]}).slices
    )
    assert found.tested == "subset_accuracy"
    assert [one.metrics["subset_accuracy"].value for one in found.slices] == [0.5, 1.0]


def test_nothing_is_sliced_without_columns() -> None:
    """Then there are no slices, also in the JSON."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    evaluation = Single().evaluate(probabilities, np.array([0, 1]), ("no", "yes"))
    assert (evaluation.slices, evaluation.slice_warnings) == (None, ())
    assert evaluation.to_json()["slices"] is None


def result(column: str, value: str, accuracy: float, difference: float) -> SliceResult:
    """Return a slice that differs."""
    metrics = {"accuracy": MetricValue(accuracy, (accuracy - 0.1, accuracy + 0.1), "Wilson")}
    return SliceResult(column, value, 80, metrics, difference, 0.001, 0.004, differs=True)


def test_a_warning_names_the_slice_and_the_difference() -> None:
    """Of two values of a column, which differ together, only the worse one is named."""
    slices = (result("sex", "", 0.6, -0.3), result("sex", "f", 0.9, 0.3))
    (warning,) = SliceResults("accuracy", slices).warnings
    assert warning == (
        "Where 'sex' is '(no value)' (80 images), the accuracy is 0.600 (0.500 to 0.700), 0.300 "
        "below that of all other images. This is more than chance (p = 0.004, by permutation, "
        "corrected for the number of slices)."
    )
    three = (*slices, result("sex", "m", 0.9, 0.3))
    assert len(SliceResults("accuracy", three).warnings) == 3


def test_slices_as_json() -> None:
    """Each slice has its metrics with intervals under their names."""
    values = SliceResults("accuracy", (result("sex", "f", 0.6, -0.3),)).to_json()
    assert values == {
        "tested": "accuracy",
        "values": [
            {
                "column": "sex",
                "value": "f",
                "images": 80,
                "accuracy": 0.6,
                "accuracy_ci95": [0.5, 0.7],
                "difference": -0.3,
                "p": 0.001,
                "adjusted_p": 0.004,
                "differs": True,
            }
        ],
    }
