"""The mean of a metric over labels, in resamples and parts of the images."""

import numpy as np
import pytest

from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.weighted_metrics import AreaUnderRoc, Rate

SCORES = np.array([0.9, 0.6, 0.7, 0.1])
FIRST = AreaUnderRoc(SCORES, np.array([True, True, False, False]))
# The second label is known for the last three images only: 0.5 is the area of a pair of two ties.
SECOND = AreaUnderRoc(np.array([0.5, 0.5, 0.1]), np.array([True, False, False]))
MEAN = MacroMean.of([(FIRST, np.arange(4)), (SECOND, np.array([1, 2, 3]))], 4)


def test_labels_are_measured_on_their_own_rows() -> None:
    """Both areas are 3/4; without the last image they are 1/2 and 1/2."""
    values = MEAN(np.array([[1.0, 1, 1, 1], [1, 1, 1, 0]]))
    assert values.tolist() == pytest.approx([0.75, 0.5])


def test_a_label_that_a_resample_misses_counts_with_its_whole_value() -> None:
    """Without the only positive image of the second label, its area stays 3/4."""
    assert MEAN(np.array([[1.0, 0, 1, 1]])).tolist() == [(1 + 0.75) / 2]


def test_a_part_of_the_images_has_a_mean_of_its_own() -> None:
    """The part is measured as if it were all; a label that is undefined in it is left out."""
    part = MEAN.take(np.array([0, 2, 3]))
    assert part.images == 3
    assert len(part.labels) == 1
    assert part(np.ones((1, 3))).tolist() == [1.0]
    both = MEAN.take(np.array([3, 1, 0]))
    assert both(np.ones((1, 3))).tolist() == [1.0]


def test_undefined_metrics_are_left_out() -> None:
    """A rate among no images does not count."""
    nothing = Rate(np.zeros(4, bool), np.zeros(4, bool))
    mean = MacroMean.of([(FIRST, np.arange(4)), (nothing, np.arange(4))], 4)
    assert mean(np.ones((1, 4))).tolist() == [0.75]
