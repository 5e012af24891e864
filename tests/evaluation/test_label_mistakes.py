"""The most confident wrong predictions of each label."""

import numpy as np

from headstart.evaluation.label_mistakes import worst_label_mistakes
from headstart.task import Mistake

TARGETS = np.array([[0, 1], [0, 1], [1, 1], [-1, 0], [1, 0]])
PROBABILITIES = np.array([[0.99, 0.3], [0.95, 0.1], [0.2, 0.9], [0.99, 0.2], [0.9, 0.1]])


def worst(limit: int) -> list[Mistake]:
    return worst_label_mistakes(PROBABILITIES, TARGETS, ("a", "b"), (0.5, 0.4), limit=limit)


def test_each_label_has_its_worst_mistake_before_any_has_a_second() -> None:
    """Label a has three mistakes, label b two; an unknown value is not a mistake."""
    assert worst(10) == [
        Mistake(0, "absent", "present", 0.99, about="a"),
        Mistake(1, "present", "absent", 0.9, about="b"),
        Mistake(1, "absent", "present", 0.95, about="a"),
        Mistake(0, "present", "absent", 0.7, about="b"),
        Mistake(2, "present", "absent", 0.8, about="a"),
    ]


def test_there_are_at_most_so_many() -> None:
    """The first ones are kept."""
    assert worst(2) == worst(10)[:2]
    assert worst(0) == []


def test_the_threshold_decides_what_is_a_mistake() -> None:
    """At a lower threshold of label b, both of its images are found."""
    found = worst_label_mistakes(PROBABILITIES, TARGETS, ("a", "b"), (0.5, 0.1), limit=10)
    assert [(one.row, one.about) for one in found if one.about == "b"] == [(3, "b"), (4, "b")]
