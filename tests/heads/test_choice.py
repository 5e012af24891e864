"""A validation part chooses the head if it is large enough, and heads learn from training only."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.backbones.layout import FeatureLayout
from headstart.heads.choice import MIN_VAL_IMAGES, HeadChoice, ValidationPart
from headstart.heads.problem import Problem
from headstart.heads.selection import refit_heads, select_head
from headstart.heads.specs import AutoHead, KernelHead, LinearHead, MLPHead, NearestHead
from tests.conftest import TASK
from tests.heads.problems import blobs, problem, rings


def fit(head, train, val=None):
    """Fit two-dimensional training points, each a group of its own."""
    features, labels = as_features(train)
    choice = HeadChoice(head, ("last",), FeatureLayout((("output", 2),)), labels.max() + 1, TASK)
    groups = [str(number) for number in range(len(labels))]
    return choice.fit(features, labels, groups, ValidationPart(*as_features(val)) if val else None)


def as_features(points):
    """Return points and labels in the types of features and targets."""
    return np.asarray(points[0], dtype=np.float32), np.asarray(points[1], dtype=np.int64)


def clouds(count=120, seed=0):
    """Return two overlapping clouds."""
    return blobs(count, width=2, classes=2, seed=seed)


def shuffled(points, seed=0):
    """Return the points with random labels."""
    return points[0], np.random.default_rng(seed).permutation(points[1])


@pytest.mark.parametrize("head", [LinearHead(), KernelHead()])
def test_the_final_head_learns_from_the_training_part_only(head):
    """It is the head that the training part alone gives with the chosen hyperparameters."""
    chosen = fit(head, clouds(), clouds(100, seed=1))
    expected = refit_heads(problem(*clouds()), chosen.members).head
    np.testing.assert_array_equal(chosen.head.weight, expected.weight)
    np.testing.assert_array_equal(chosen.head.mean, expected.mean)


def test_class_means_are_those_of_the_training_part():
    """The validation part does not change a nearest-mean head, which has nothing to choose."""
    alone = fit(NearestHead(), clouds())
    chosen = fit(NearestHead(), clouds(), clouds(120, seed=1))
    np.testing.assert_array_equal(chosen.head.centres, alone.head.centres)
    np.testing.assert_array_equal(chosen.head.mean, alone.head.mean)
    assert (chosen.chosen_on, chosen.why) == ("val", "")


def test_a_multilayer_perceptron_stops_by_the_validation_part():
    """It trains on the training part, and random validation labels stop it at once."""
    head = MLPHead(hidden=8, epochs=60, learning_rate=1e-2)
    chosen = fit(head, clouds(), clouds(100, seed=1))
    stopped = fit(head, clouds(), shuffled(clouds(100, seed=1)))
    expected = np.asarray(clouds()[0], dtype=np.float32).mean(axis=0)
    np.testing.assert_allclose(chosen.head.mean, expected, rtol=1e-5)
    points, truth = as_features(clouds(200, seed=2))
    spread = [np.ptp(model.head.logits(points), axis=1).mean() for model in (stopped, chosen)]
    assert spread[0] < spread[1] / 2
    assert (chosen.head.logits(points).argmax(axis=1) == truth).mean() > 0.85


def test_held_out_scores_are_those_of_the_final_head():
    """The scores that calibrate are those of the validation part, which follows the training."""
    val = as_features(clouds(120, seed=1))
    chosen = fit(AutoHead(), clouds(), val)
    np.testing.assert_array_equal(chosen.held_out.rows, np.arange(120, 240))
    np.testing.assert_array_equal(chosen.held_out.logits, chosen.head.logits(val[0]))


def test_the_validation_part_decides_against_the_folds():
    """If its labels are random, the strongest regularisation is chosen, with fewer images too."""
    train, val = rings(), shuffled(rings(MIN_VAL_IMAGES, seed=1))
    on_folds, on_val = fit(AutoHead(), train), fit(AutoHead(), train, val)
    assert on_folds.members[0].kind == "kernel"
    assert on_val.members[0].strength > on_folds.members[0].strength
    assert (on_folds.chosen_on, on_folds.why) == ("folds", "lowest log loss on held-out folds")
    why = "the average, weighted by log loss on the validation part"
    assert (on_val.chosen_on, on_val.why) == ("val", why)


def test_both_estimates_are_shown():
    """The average and each candidate have estimates on all folds and on the validation part."""
    chosen = fit(AutoHead(), rings(), rings(100, seed=1))
    alone = fit(AutoHead(), rings())
    folds = {row.head: row for row in alone.candidates}
    assert {row.head for row in chosen.candidates} == {"linear", "kernel"}
    for row in chosen.candidates:
        assert (row.images, row.val.images) == (120, 100)
        assert (row.log_loss, row.accuracy) == (folds[row.head].log_loss, folds[row.head].accuracy)
    losses = [row.val.log_loss for row in chosen.candidates]
    assert losses == sorted(losses) and losses[0] < 0.1
    assert chosen.candidates[0].val.accuracy > 0.97


@pytest.mark.parametrize(
    ("val", "why"),
    [
        (
            clouds(MIN_VAL_IMAGES - 1, seed=1),
            (
                "the average, weighted by log loss on held-out folds; the validation part has "
                "only 99 images, and 100 are needed"
            ),
        ),
        (
            (np.ones((110, 2)), np.zeros(110)),
            (
                "the average, weighted by log loss on held-out folds; the validation part lacks "
                "1 of 2 classes"
            ),
        ),
        (
            clouds(MIN_VAL_IMAGES, seed=1),
            (
                "the average, weighted by log loss on held-out folds; the validation part agrees "
                "with them, and has fewer images"
            ),
        ),
    ],
    ids=["few images", "missing class", "agreement"],
)
def test_a_validation_part_that_is_too_small_is_only_measured(val, why):
    """The folds decide and calibrate as without it, and its estimate is shown."""
    alone, chosen = fit(AutoHead(), clouds()), fit(AutoHead(), clouds(), val)
    assert (chosen.chosen_on, chosen.why) == ("folds", why)
    points = as_features(clouds(seed=3))[0]
    np.testing.assert_array_equal(chosen.head.logits(points), alone.head.logits(points))
    np.testing.assert_array_equal(chosen.held_out.logits, alone.held_out.logits)
    assert [row.val.images for row in chosen.candidates] == [len(val[1])] * 3


def test_a_sample_keeps_the_validation_part():
    """With many images, half of the sample may be the validation part, which decides."""
    features, labels = as_features(clouds(400))
    rows = np.arange(400)
    whole = Problem(features, {"last": slice(0, 2)}, labels, 2, [(rows[:350], rows[350:])], TASK)
    sample = whole.sample(200, seed=0)
    assert (len(sample), (sample >= 350).sum()) == (200, 50)
    half = Problem(features, {"last": slice(0, 2)}, labels, 2, [(rows[:50], rows[50:])], TASK)
    sample = half.sample(100, seed=0)
    assert (len(sample), (sample < 50).sum()) == (100, 50)
    assert select_head(half, exact=80).candidates[0].images == 40


@pytest.mark.parametrize("count", [28, 120])
def test_an_average_is_calibrated_on_held_out_images(count):
    """Averages of calibrated heads are underconfident, so they may become more certain."""
    rng = np.random.default_rng(0)
    features, labels = blobs(count, width=12, classes=2, seed=4, spread=0.6)
    layout = FeatureLayout((("output", 6), ("stage1.mean", 6)))
    choice = HeadChoice(AutoHead(), ("last", "multilevel"), layout, 2, TASK)
    names = [str(number) for number in rng.permutation(count)]
    chosen = choice.fit(*as_features((features, labels)), names)
    assert len(chosen.members) > 1
    fitted = TASK.temperature(chosen.held_out.logits, labels[chosen.held_out.rows])
    assert chosen.temperature == fitted < 1


def test_scores_of_a_fold_are_those_of_its_images():
    """In the order of the rows that are asked for; other rows are not those of a fold."""
    fitted = fit(LinearHead(), clouds())
    assert len(fitted.folds) == 5
    for _, fold in fitted.folds:
        rows = fold[::-1]
        places = [int(np.flatnonzero(fitted.held_out.rows == row)[0]) for row in rows]
        np.testing.assert_array_equal(fitted.held_out_scores(rows), fitted.held_out.logits[places])
    assert fitted.held_out_scores(fitted.folds[0][1][:-1]) is None
    assert replace(fitted, held_out=None).held_out_scores(fitted.folds[0][1]) is None
