"""Which backbone is named, and why."""

import numpy as np

from headstart.choosing.decision import Rated, front, recommended
from headstart.evaluation.intervals import difference


def rated(name, wrong, speed, *, images=1000, weights="imagenet"):
    """Give a backbone that tells the first images wrong."""
    right = np.ones(images, dtype=np.bool_)
    right[:wrong] = False
    return Rated(name, weights, speed, right)


def test_the_best_is_taken_where_it_matters():
    """A clearly more accurate backbone is worth its time."""
    taken, why = recommended([rated("slow", 50, 10), rated("fast", 150, 100)])
    assert taken.name == "slow"
    assert why == "the most accurate by 10.0 points over fast"


def test_the_fastest_within_noise_is_taken():
    """Two more mistakes in a thousand are noise; ten times the speed is not."""
    taken, why = recommended([rated("slow", 50, 10), rated("fast", 52, 100)])
    assert taken.name == "fast"
    assert why == "within noise of the best, slow, at 10.0 times its speed"


def test_the_best_may_be_the_fastest():
    """Nothing is given up."""
    taken, why = recommended([rated("good", 50, 100), rated("bad", 150, 10)])
    assert taken.name == "good"
    assert why == "the most accurate by 10.0 points over bad, and the fastest"


def test_few_images_do_not_excuse_a_large_loss():
    """Two points lost on 100 images may be noise, but are not given away for speed."""
    slow, fast = rated("slow", 10, 10, images=100), rated("fast", 12, 100, images=100)
    low, high = difference(fast.right, slow.right)
    assert low < 0 < high
    assert recommended([slow, fast])[0].name == "slow"


def test_a_little_speed_is_no_reason():
    """Timings err; accuracy is not given away for less than a quarter more speed."""
    taken, why = recommended([rated("good", 50, 100), rated("other", 51, 110)])
    assert taken.name == "good"
    assert why == "no other is better, and other is within noise of it but not clearly faster"


def test_random_weights_are_never_taken_beside_others():
    """Even where they look best."""
    lucky = rated("lucky", 10, 100, weights="random")
    assert recommended([lucky, rated("real", 50, 10)])[0].name == "real"
    assert recommended([lucky])[0].name == "lucky"


def test_a_limit_on_time():
    """Too slow ones are left out; if all are, the fastest is named with the reason."""
    slow, fast = rated("slow", 50, 10), rated("fast", 150, 100)
    assert recommended([slow, fast], slowest=50)[0].name == "fast"
    only = "the only one with pretrained weights that is within the time allowed"
    assert recommended([slow, fast], slowest=50)[1] == only
    taken, why = recommended([slow, fast], slowest=500)
    assert taken.name == "fast"
    assert why.startswith("none is within the time")


def test_a_single_candidate():
    """There is nothing to compare, and the sentence says so."""
    assert recommended([rated("one", 5, 1)])[1] == "there was no other to choose from"


def test_the_front_holds_what_nothing_beats():
    """A slower and worse backbone is off it; so is an equal one that is slower."""
    best, quick = rated("best", 10, 10), rated("quick", 50, 100)
    worse, twin = rated("worse", 60, 50), rated("twin", 50, 90)
    assert front([worse, best, twin, quick]) == [quick, best]
