"""Kinds of errors, each by a case that is made by hand."""

import numpy as np
import pytest

from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes import error_kinds
from headstart.evaluation.boxes.coco_metrics import measure_coco
from headstart.evaluation.boxes.error_kinds import KINDS, find_errors, measure_errors
from headstart.record import BoxErrors
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes

TRUTH = boxes((0, 0, 100, 100, 0), (200, 0, 300, 100, 1))


def kinds(*rows: tuple[float, ...], truth: Boxes = TRUTH) -> list[str | None]:
    return list(find_errors(truth, found(*rows)).kinds)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ((0, 0, 100, 50, 0, 0.9), None),  # Half of the box is enough.
        ((0, 0, 100, 49, 0, 0.9), "localisation"),
        ((0, 0, 100, 10, 0, 0.9), "localisation"),
        ((0, 0, 100, 9, 0, 0.9), "background"),
        ((0, 0, 100, 50, 1, 0.9), "class"),
        ((0, 0, 100, 49, 1, 0.9), "both"),
        ((0, 0, 100, 9, 1, 0.9), "background"),
        ((400, 0, 500, 100, 0, 0.9), "background"),
    ],
)
def test_the_kind_of_a_detection(row: tuple[float, ...], kind: str | None) -> None:
    """Of two boxes, the first is of class 0."""
    assert kinds(row) == [kind]


def test_a_second_detection_is_a_duplicate() -> None:
    """The more probable one has the box."""
    assert kinds((0, 0, 100, 90, 0, 0.9), (0, 0, 100, 100, 0, 0.8)) == [None, "duplicate"]


def test_without_true_boxes_everything_is_background() -> None:
    """So it is beside a crowd; in a crowd, detections are no errors."""
    assert kinds((0, 0, 9, 9, 0, 0.9), truth=boxes()) == ["background"]
    crowd = boxes((0, 0, 100, 100, 0), crowd=True)
    rows = (0, 0, 9, 9, 0, 0.9), (50, 50, 150, 150, 0, 0.8), (0, 0, 9, 9, 1, 0.7)
    assert kinds(*rows, truth=crowd) == [None, "background", "background"]


def test_a_box_is_missed_unless_another_error_explains_it() -> None:
    """A badly located detection, or one of the wrong class, is meant for the box."""
    for row in [(0, 0, 100, 40, 0, 0.9), (0, 0, 100, 60, 1, 0.9)]:
        errors = find_errors(TRUTH, found(row))
        assert (errors.missed.tolist(), errors.target.tolist()) == ([False, True], [0])
        assert errors.matches.missed.tolist() == [True, True]
    both = find_errors(TRUTH, found((0, 0, 100, 40, 1, 0.9)))
    assert (both.missed.tolist(), both.target.tolist()) == ([True, True], [-1])


def measured(truths: list[Boxes], detections: list[Detections]) -> dict[str, BoxErrors]:
    results = measure_errors(truths, detections, 2, np.array([0.5, 0.5]))
    assert tuple(one.kind for one in results) == KINDS
    return {one.kind: one for one in results}


def test_errors_are_counted_above_the_thresholds() -> None:
    """One of each kind; those below the thresholds are not counted."""
    truth = boxes(*((at, 0, at + 100, 100, 0) for at in range(0, 1200, 200)))
    rows = [
        (0, 0, 100, 100, 0, 0.95),
        (0, 0, 100, 99, 0, 0.9),  # duplicate
        (200, 0, 300, 100, 1, 0.9),  # class
        (400, 0, 500, 40, 0, 0.9),  # localisation
        (600, 0, 700, 40, 1, 0.9),  # both, and the box is missed
        (0, 500, 50, 550, 0, 0.9),  # background
    ]
    below = [(*row[:5], 0.4) for row in rows[1:]]
    found_all = found(*rows, *below)
    counts = {kind: one.count for kind, one in measured([truth], [found_all]).items()}
    assert counts == dict.fromkeys(KINDS, 1) | {"missed": 3}


@pytest.mark.parametrize(
    ("row", "kind", "gain"),
    [
        ((200, 0, 300, 40, 0, 0.8), "localisation", 0.5),
        ((200, 0, 300, 100, 1, 0.8), "class", 0.5),
        ((200, 0, 300, 40, 1, 0.8), "missed", 0.5),
        # A false alarm above the only right detection halves its precision.
        ((400, 0, 500, 100, 0, 0.99), "background", 0.25),
    ],
)
def test_what_correcting_a_kind_is_worth(row: tuple[float, ...], kind: str, gain: float) -> None:
    """Of two boxes, one is found: AP50 is 51 of 101 levels, about 0.5."""
    truth = boxes((0, 0, 100, 100, 0), (200, 0, 300, 100, 0))
    rows = sorted([(0, 0, 100, 100, 0, 0.9), row], key=lambda one: -one[-1])
    gains = {one: value.gain for one, value in measured([truth], [found(*rows)]).items()}
    assert gains[kind] == pytest.approx(gain, abs=0.01)
    others = set(KINDS) - {kind, "missed"}
    assert {one: gains[one] for one in others} == pytest.approx(dict.fromkeys(others, 0.0))


def test_correcting_duplicates_and_second_attempts_removes_them() -> None:
    """Two badly located detections of one box would be right only once."""
    truth = boxes((0, 0, 100, 100, 0), (200, 0, 300, 100, 0))
    rows = [(0, 0, 100, 40, 0, 0.9), (0, 0, 100, 30, 0, 0.8), (200, 0, 300, 100, 0, 0.7)]
    located = measured([truth], [found(*rows)])["localisation"]
    # Before: precision 1/3 up to half the recall. After: 1 everywhere.
    assert located.gain == pytest.approx(1 - 51 / 101 / 3)
    rows = [(0, 0, 100, 100, 0, 0.9), (0, 0, 100, 99, 0, 0.8), (200, 0, 300, 100, 0, 0.7)]
    doubled = measured([truth], [found(*rows)])["duplicate"]
    assert doubled.gain == pytest.approx(1 - (51 + 50 * 2 / 3) / 101)


def test_a_second_detection_of_a_box_that_is_found_is_not_corrected_but_removed() -> None:
    """The other box stays missed: AP50 doubles, from one in two to one in one."""
    truth = boxes((0, 0, 100, 100, 0), (200, 0, 300, 100, 0))
    rows = [(0, 0, 100, 40, 0, 0.95), (0, 0, 100, 100, 0, 0.9)]
    located = measured([truth], [found(*rows)])["localisation"]
    assert located.gain == pytest.approx(51 / 101 / 2)


def test_gains_start_from_the_ap50_of_coco() -> None:
    """The detections, matched and accumulated here, have COCO's AP50, also with crowds."""
    truths, detections, sizes = make_scenes(30, seed=6)
    pool = error_kinds._Pool.of(truths, detections, 3)
    assert pool.ap50() == pytest.approx(
        measure_coco(truths, detections, sizes, CLASSES).map50, abs=1e-14
    )
    results = measure_errors(truths, detections, 3, np.full(3, 0.3))
    assert all(one.gain > -0.01 and one.count > 0 for one in results)


def test_finding_all_boxes_is_all_that_ap50_lacks_without_detections() -> None:
    """Each true box is missed, and the gain is 1."""
    truths, _, _ = make_scenes(30, seed=6)
    missed = measure_errors(truths, [Detections.none()] * 30, 3, np.full(3, 0.3))[-1]
    count = sum(int((~truth.crowd).sum()) for truth in truths)
    assert missed == BoxErrors("missed", count, 1.0)


def test_more_than_100_detections_of_a_class_do_not_count() -> None:
    """As in COCO: the right one is the 101st, so removing the others before it gains nothing."""
    truth = boxes((0, 0, 100, 100, 0))
    rows = [(300, 300, 310, 310, 0, 0.9)] * 100 + [(0, 0, 100, 100, 0, 0.5)]
    assert measured([truth], [found(*rows)])["background"].gain == 0
    assert measured([truth], [found(*rows[1:])])["background"].gain == pytest.approx(0.99)


def test_nothing_labelled_has_no_gain() -> None:
    """Without images, too."""
    empty = measured([boxes()], [found((0, 0, 9, 9, 0, 0.9))])
    assert (empty["background"].count, empty["background"].gain) == (1, None)
    assert measured([], [])["missed"] == BoxErrors("missed", 0, None)
