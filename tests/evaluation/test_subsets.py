"""Two models compared on each class and slice."""

import numpy as np

from headstart.evaluation.paired import mcnemar
from headstart.evaluation.subsets import MAX_SUBSETS, compare_subsets


def test_parts_are_compared_and_corrected() -> None:
    """The smallest p-value first, times the number of parts; parts without images are left out."""
    first, second = np.ones(40, dtype=bool), np.ones(40, dtype=bool)
    second[:8] = False
    old, new = np.arange(40) < 20, np.arange(40) >= 20
    members = {("age", "new"): new, ("age", "old"): old, ("age", "none"): np.zeros(40, dtype=bool)}
    worst, other = compare_subsets(first, second, members)
    assert (worst.value, worst.images, worst.first, worst.second) == ("old", 20, 1.0, 0.6)
    assert worst.p == 2 * mcnemar(first[old], second[old])
    assert worst.ci95[1] < 0
    assert (other.value, other.p) == ("new", 1.0)


def test_groups_are_resampled_as_a_whole() -> None:
    """With eight images of two groups, little is known."""
    first, second = np.ones(40, dtype=bool), np.ones(40, dtype=bool)
    second[:8] = False
    members = {("class", "x"): np.ones(40, dtype=bool)}
    groups = np.arange(40) // 4
    (alone,) = compare_subsets(first, second, members)
    (grouped,) = compare_subsets(first, second, members, groups)
    assert grouped.ci95[0] < alone.ci95[0]


def test_only_the_largest_parts_are_compared() -> None:
    """A thousand classes of one image each would say nothing."""
    hits = np.ones(300, dtype=bool)
    members = {("class", f"{number}"): np.arange(300) == number for number in range(300)}
    assert len(compare_subsets(hits, hits, members)) == MAX_SUBSETS
