"""Which backbone is chosen, and the reason that is given."""

import numpy as np

from headstart.choosing.decision import BackboneScore, choose_backbone, pareto_front
from headstart.evaluation.intervals import paired_difference


def score(name, wrong, speed, *, images=1000, weights="imagenet"):
    """Create a backbone score whose first images are predicted wrongly."""
    correct = np.ones(images, dtype=np.bool_)
    correct[:wrong] = False
    return BackboneScore(name, weights, speed, correct)


def test_the_most_accurate_is_chosen_if_it_is_clearly_better():
    """A clearly more accurate backbone is worth its time."""
    chosen, why = choose_backbone([score("slow", 50, 10), score("fast", 150, 100)])
    assert chosen.name == "slow"
    assert why == "the most accurate by 10.0 points over fast"


def test_the_fastest_within_noise_is_chosen():
    """Two more mistakes in a thousand are noise; ten times the speed is not."""
    chosen, why = choose_backbone([score("slow", 50, 10), score("fast", 52, 100)])
    assert chosen.name == "fast"
    assert why == "not significantly worse than slow, and 10.0 times as fast"


def test_the_most_accurate_may_also_be_the_fastest():
    """The reason mentions both."""
    chosen, why = choose_backbone([score("good", 50, 100), score("bad", 150, 10)])
    assert chosen.name == "good"
    assert why == "the most accurate by 10.0 points over bad, and the fastest"


def test_a_large_loss_is_not_accepted_on_few_images():
    """A loss of two points on 100 images may be noise, but is not traded for speed."""
    slow, fast = score("slow", 10, 10, images=100), score("fast", 12, 100, images=100)
    low, high = paired_difference(fast.correct, slow.correct)
    assert low < 0 < high
    assert choose_backbone([slow, fast])[0].name == "slow"


def test_a_small_speedup_is_not_enough():
    """Timings are noisy: accuracy is not traded for a speedup below 25%."""
    chosen, why = choose_backbone([score("good", 50, 100), score("other", 51, 110)])
    assert chosen.name == "good"
    assert why == (
        "no other is more accurate; other is not significantly worse, but not clearly faster"
    )


def test_random_weights_are_never_preferred_to_pretrained_ones():
    """Not even if they score best."""
    lucky = score("lucky", 10, 100, weights="random")
    assert choose_backbone([lucky, score("real", 50, 10)])[0].name == "real"
    assert choose_backbone([lucky])[0].name == "lucky"


def test_the_time_limit_is_respected():
    """Backbones that are too slow are excluded; if all are, the fastest is chosen."""
    slow, fast = score("slow", 50, 10), score("fast", 150, 100)
    assert choose_backbone([slow, fast], min_speed=50)[0].name == "fast"
    only = "the only one with pretrained weights that is within the time allowed"
    assert choose_backbone([slow, fast], min_speed=50)[1] == only
    chosen, why = choose_backbone([slow, fast], min_speed=500)
    assert chosen.name == "fast"
    assert why.startswith("none is within the time")


def test_a_single_candidate():
    """The reason says that there was nothing to compare."""
    assert choose_backbone([score("only", 5, 1)])[1] == "it was the only candidate"


def test_the_pareto_front_holds_what_is_not_dominated():
    """A slower and worse backbone is not on it, nor an equally good but slower one."""
    best, quick = score("best", 10, 10), score("quick", 50, 100)
    worse, twin = score("worse", 60, 50), score("twin", 50, 90)
    assert pareto_front([worse, best, twin, quick]) == [quick, best]
