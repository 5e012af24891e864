"""Predictions of a label at its operating point."""

import numpy as np
import pytest

from headstart.evaluation.operating_results import operating_result


def test_rates_and_ratios_are_those_of_the_confusion_matrix() -> None:
    """With 8 of 10 positive images found, and 3 of 30 negative ones by mistake."""
    positive = np.arange(40) < 10
    probabilities = np.full(40, 0.1)
    probabilities[:8] = probabilities[10:13] = 0.9
    result = operating_result(
        "mass",
        probabilities,
        positive,
        purpose="sensitivity=0.8",
        threshold=0.5,
        prevalence=0.02,
    )
    assert (result.positives, result.negatives) == (10, 30)
    assert result.sensitivity.value == pytest.approx(0.8)
    assert result.specificity.value == pytest.approx(0.9)
    assert result.ppv.value == pytest.approx(8 / 11)
    assert result.npv.value == pytest.approx(27 / 29)
    assert result.positive_ratio.value == pytest.approx(8)
    assert result.negative_ratio.value == pytest.approx(0.2 / 0.9)
    assert result.ppv_at_prevalence.value == pytest.approx(0.016 / (0.016 + 0.098))
    assert result.npv_at_prevalence.value == pytest.approx(0.882 / (0.882 + 0.004))
    values = result.to_json()
    assert values["operating_point"] == "sensitivity=0.8"
    assert values["ppv_at_prevalence"] == result.ppv_at_prevalence.value


def test_without_positive_images_only_the_others_are_measured() -> None:
    """What is not defined is None; without a stated prevalence, it is not in the JSON."""
    result = operating_result(
        "mass", np.array([0.1, 0.6]), np.zeros(2, dtype=bool), purpose="f1", threshold=0.5
    )
    assert result.sensitivity.value is None
    assert result.positive_ratio.value is None
    assert result.specificity.value == pytest.approx(0.5)
    assert "prevalence" not in result.to_json()
