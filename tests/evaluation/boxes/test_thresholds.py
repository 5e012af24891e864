"""Thresholds of boxes, chosen on held-out images."""

import numpy as np
import pytest

from headstart.errors import OptionError
from headstart.evaluation.boxes.class_matches import ClassMatches
from headstart.evaluation.boxes.thresholds import choose_thresholds, cuts, parse_purpose

SCORES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


def matches(hits: str, *, boxes: int = 4, scores=SCORES, ignored: str = "") -> ClassMatches:
    """Return detections of one image that are right (1) or wrong (0) at every IoU threshold."""
    count = len(hits)
    right = np.array([[one == "1" for one in hits]] * 10, np.bool_)
    out = np.array([[one == "1" for one in ignored or "0" * count]] * 10, np.bool_)
    return ClassMatches(
        np.zeros(count, np.int64), np.array(scores[:count]), right, out, np.array([boxes])
    )


def chosen(purpose: str | None, hits: str, **more) -> tuple[float, str]:
    thresholds = choose_thresholds([matches(hits, **more)], ["cat"], purpose)
    return thresholds.values[0], thresholds.notes[0]


def test_the_default_is_the_highest_f1() -> None:
    """F1 of the six cuts: 2/5, 4/6, 4/7, 6/8, 6/9, 6/10."""
    thresholds = choose_thresholds([matches("110100")], ["cat"])
    assert (thresholds.purpose, thresholds.values, thresholds.notes) == ("f1", (0.6,), ("",))


def test_a_precision_is_reached_by_the_lowest_threshold_that_has_it() -> None:
    """Precision is 1, 1, 2/3, 3/4, 3/5, 1/2: 3/4 is reached again after it was not."""
    assert chosen("precision=0.75", "110100") == (0.6, "")
    assert chosen("ppv=0.76", "110100") == (0.8, "")


def test_a_recall_is_reached_by_the_highest_threshold_that_has_it() -> None:
    """Three of four boxes are found down to 0.6."""
    assert chosen("recall=0.75", "110100") == (0.6, "")
    assert chosen("recall=0.5", "110100") == (0.8, "")


def test_what_cannot_be_reached_is_said() -> None:
    """The threshold is then the nearest, and the note says what it has."""
    threshold, note = chosen("precision=0.9", "0110")
    assert threshold == 0.7
    assert note == (
        "No threshold of 'cat' reaches precision=0.9 on the held-out images. The threshold has "
        "the highest precision, 0.667."
    )
    threshold, note = chosen("recall=0.9", "110100")
    assert threshold == 0.6
    assert note == (
        "No threshold of 'cat' reaches recall=0.9 on the held-out images. The threshold finds as "
        "many of their 4 boxes as any: 3."
    )


def test_without_right_detections_or_boxes_the_threshold_is_one_half() -> None:
    """The note says why."""
    none = "No held-out detection of 'cat' is right, so its threshold is 0.5."
    assert chosen("f1", "00") == chosen("f1", "") == (0.5, none)
    absent = "No held-out image has a box of 'cat', so its threshold is 0.5."
    assert chosen("recall=0.9", "00", boxes=0) == (0.5, absent)


def test_equal_probabilities_are_not_separated_and_crowds_do_not_count() -> None:
    """Both detections at 0.8 are above the threshold or below it."""
    at = cuts([matches("1010", scores=(0.9, 0.8, 0.8, 0.7), ignored="0001")])
    assert at.values.tolist() == [0.9, 0.8]
    assert (at.hits.tolist(), at.false_alarms.tolist()) == ([1, 2], [0, 1])


def test_a_wanted_rate_is_not_missed_by_rounding() -> None:
    """0.9 of 50 boxes are 45."""
    scores = tuple(np.linspace(1, 0, 60))
    assert chosen("recall=0.9", "1" * 50, boxes=50, scores=scores) == (scores[44], "")


def test_boxes_have_no_specificity() -> None:
    """The error says what there is; unknown names are errors too."""
    with pytest.raises(OptionError, match=r"'specificity=0.9' for boxes.*precision=0.9"):
        parse_purpose("specificity=0.9")
    with pytest.raises(OptionError, match="no operating point 'speed'"):
        parse_purpose("speed")
    assert [str(parse_purpose(text)) for text in (None, "ppv=0.8", "sensitivity=0.7")] == [
        "f1",
        "precision=0.8",
        "recall=0.7",
    ]
