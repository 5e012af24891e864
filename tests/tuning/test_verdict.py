"""Which model is kept, and which head reads the tuned features."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from headstart.heads.fitted import BlendModel, LinearModel
from headstart.tuning.job import Reading
from headstart.tuning.rounds import Round
from headstart.tuning.training.loop import Trained
from headstart.tuning.verdict import Verdict
from tests.conftest import TASK

IMAGES = 400
LABELS = np.arange(IMAGES) % 2
TRUTH = np.where(LABELS[:, None] == np.arange(2), 1.0, -1.0)


def scores_with(seed, noise):
    """Give scores that are right but for noise of their own."""
    draw = np.random.default_rng(seed)
    return (TRUTH + noise * draw.normal(size=TRUTH.shape)).astype(np.float32)


def rounds(**scores):
    """Give two rounds that hold out half of the images each."""
    halves = np.split(np.arange(IMAGES), 2)
    return [
        Round(half, Trained(1), 1.0, {}, {n: s[half] for n, s in scores.items()}, {})
        for half in halves
    ]


def linear(width):
    """Give a head that reads so many columns."""
    ones = np.ones(width, dtype=np.float32)
    return LinearModel(ones, ones, np.ones((width, 2), dtype=np.float32), ones[:2])


@pytest.fixture
def measured():
    """Two tuned heads, each a little better than the frozen model, that err independently."""
    scores = {
        "probe": scores_with(0, 1.2),
        "along": scores_with(1, 1.0),
        "refitted": scores_with(2, 1.1),
    }
    return rounds(**scores)


def test_two_heads_that_err_differently_are_blended(measured):
    """Their mean tells more than either, and is measured as what it is."""
    apart = Verdict.of(measured, LABELS, TASK, blend=False, always=False)
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    assert (apart.name, verdict.name) == ("along", "blend")
    assert verdict.best.log_loss < apart.best.log_loss
    assert verdict.kept


def test_a_bad_head_spoils_no_good_one(measured):
    """A blend has to be better than the better of both."""
    for one in measured:
        one.scores["refitted"] = scores_with(3, 5.0)[one.held_out]
    assert Verdict.of(measured, LABELS, TASK, blend=True, always=False).name == "along"


def test_a_blend_is_read_as_it_was_measured(measured):
    """Heads of the training that is kept are averaged by the temperatures of the decision."""
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    narrow, wide = Reading(linear(3), "last"), Reading(linear(7), "multilevel")
    reading = verdict.reading({"along": narrow, "refitted": wide})
    assert isinstance(reading.head, BlendModel)
    assert (reading.head.first, reading.head.second) == (narrow.head, wide.head)
    temperatures = reading.head.first_temperature, reading.head.second_temperature
    assert temperatures == (verdict.temperatures["along"], verdict.temperatures["refitted"])
    assert reading.features == "multilevel"


def test_a_blend_is_as_sure_as_it_was_measured(measured):
    """The head that is given, at the verdict's temperature, has the verdict's log loss."""
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    scores = {
        name: np.concatenate([one.scores[name] for one in measured])
        for name in ("along", "refitted")
    }
    columns = np.concatenate(list(scores.values()), axis=1)  # Of each head two.
    along = replace(linear(2), mean=np.zeros(2), scale=np.ones(2), weight=np.eye(2))
    along = replace(along, bias=np.zeros(2))
    second = np.concatenate([np.zeros((2, 2)), np.eye(2)])
    refitted = replace(along, mean=np.zeros(4), scale=np.ones(4), weight=second)
    heads = {"along": Reading(along, "last"), "refitted": Reading(refitted, "multilevel")}
    logits = verdict.reading(heads).head.logits(columns) / verdict.temperature
    losses = -log_softmax(logits, axis=1)[np.arange(IMAGES), LABELS]
    assert losses.mean() == pytest.approx(verdict.best.log_loss, rel=1e-4)


def test_without_any_finished_training_nothing_is_kept():
    """Not even if it was to be kept in any case."""
    verdict = Verdict.of([], LABELS, TASK, blend=True, always=True)
    assert not verdict.kept and verdict.best is None
    assert verdict.gain_ci95 is None and verdict.loss_gain_errors is None and not verdict.images


def test_without_a_refitted_head_nothing_is_blended(measured):
    """A round that was cut off has only the head that was trained along."""
    for one in measured:
        one.scores.pop("refitted")
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    heads = {"along": Reading(linear(3), "last")}
    assert verdict.reading(heads) is heads["along"]


def test_a_tuned_model_that_is_worse_is_kept_only_if_asked(measured):
    """What is worse on the images held out goes, whatever its heads."""
    for one in measured:
        one.scores["probe"] = scores_with(0, 0.2)[one.held_out]
    assert not Verdict.of(measured, LABELS, TASK, blend=True, always=False).kept
    assert Verdict.of(measured, LABELS, TASK, blend=True, always=True).kept


@pytest.mark.parametrize(
    ("along", "why_not"),
    [
        (scores_with(1, 1.0), ""),
        (scores_with(0, 1.2), "did not lower log loss"),
        (scores_with(1, 5.0), "did not lower log loss"),
    ],
    ids=["better", "the same", "worse"],
)
def test_why_a_model_is_not_kept_is_scores_with(along, why_not):
    """A model that is no better is not kept, and the reason is what the reports say."""
    verdict = Verdict.of(
        rounds(probe=scores_with(0, 1.2), along=along), LABELS, TASK, blend=False, always=False
    )
    assert (verdict.why_not, verdict.kept) == (why_not, not why_not)


def test_a_lower_loss_with_fewer_right_is_not_kept():
    """Smaller mistakes, but more of them."""
    frozen = np.where(np.arange(IMAGES)[:, None] % 10 == 0, -9.0, 0.6) * TRUTH
    tuned = np.where(np.arange(IMAGES)[:, None] % 8 == 0, -0.1, 2.0) * TRUTH
    scores = rounds(probe=frozen.astype(np.float32), along=tuned.astype(np.float32))
    verdict = Verdict.of(scores, LABELS, TASK, blend=False, always=False)
    assert verdict.why_not == "lowered log loss, but told fewer images right"
    assert not verdict.kept
