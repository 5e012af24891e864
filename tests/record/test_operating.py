"""Likelihood ratios as text."""

import pytest

from headstart.record.operating import times


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.0, "0.00"), (7.859, "7.86"), (1000.0, "1000.00"), (8e11, "over 1,000")]
)
def test_astronomical_ratios_are_cut_off(ratio: float, text: str) -> None:
    """With few images, the upper end of an interval has no meaning but that it is large."""
    assert times(ratio) == text
