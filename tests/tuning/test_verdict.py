"""Which model is kept, and with which head."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from headstart.heads.fitted import LinearModel, StackModel
from headstart.tuning.job import ClassifierHead
from headstart.tuning.rounds import Round
from headstart.tuning.training.loop import TrainingResult
from headstart.tuning.verdict import Verdict
from tests.conftest import TASK

IMAGES = 400
LABELS = np.arange(IMAGES) % 2
TRUTH = np.where(LABELS[:, None] == np.arange(2), 1.0, -1.0)


def scores_with(seed, noise):
    """Return correct scores with independent noise."""
    draw = np.random.default_rng(seed)
    return (TRUTH + noise * draw.normal(size=TRUTH.shape)).astype(np.float32)


def rounds(**scores):
    """Create two rounds that hold out half of the images each."""
    halves = np.split(np.arange(IMAGES), 2)
    return [
        Round(half, TrainingResult(1), 1.0, {}, {n: s[half] for n, s in scores.items()}, {})
        for half in halves
    ]


def linear(width):
    """Create a linear head of a given width."""
    ones = np.ones(width, dtype=np.float32)
    return LinearModel(ones, ones, np.ones((width, 2), dtype=np.float32), ones[:2])


@pytest.fixture
def measured():
    """Rounds with two heads, both slightly better than the probe, with independent errors."""
    scores = {
        "probe": scores_with(0, 1.2),
        "trained": scores_with(1, 1.0),
        "refitted": scores_with(2, 1.1),
    }
    return rounds(**scores)


def test_two_heads_that_err_differently_are_blended(measured):
    """Their average is better than either, and is a candidate of its own."""
    apart = Verdict.of(measured, LABELS, TASK, blend=False, always=False)
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    assert (apart.name, verdict.name) == ("trained", "blend")
    assert verdict.best.log_loss < apart.best.log_loss
    assert verdict.kept


def test_a_bad_head_is_not_blended_with_a_good_one(measured):
    """A head with a very small share is left out."""
    for training in measured:
        training.scores["refitted"] = scores_with(3, 5.0)[training.held_out]
    assert Verdict.of(measured, LABELS, TASK, blend=True, always=False).name == "trained"


def test_a_blend_uses_the_shares_of_the_verdict(measured):
    """Heads of the kept training are averaged with the shares of the verdict."""
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    narrow, wide = ClassifierHead(linear(3), "last"), ClassifierHead(linear(7), "multilevel")
    chosen = verdict.choose({"trained": narrow, "refitted": wide})
    assert isinstance(chosen.head, StackModel)
    assert chosen.head.members == (narrow.head, wide.head)
    assert chosen.head.temperatures == verdict.average.temperatures
    assert chosen.head.shares == tuple(verdict.average.shares)
    assert chosen.features == "multilevel"


def test_a_blend_has_the_log_loss_of_the_verdict(measured):
    """The chosen head, at the temperature of the verdict, has its log loss."""
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    scores = {
        name: np.concatenate([training.scores[name] for training in measured])
        for name in ("trained", "refitted")
    }
    columns = np.concatenate(list(scores.values()), axis=1)  # Two columns per head.
    trained = replace(linear(2), mean=np.zeros(2), scale=np.ones(2), weight=np.eye(2))
    trained = replace(trained, bias=np.zeros(2))
    second = np.concatenate([np.zeros((2, 2)), np.eye(2)])
    refitted = replace(trained, mean=np.zeros(4), scale=np.ones(4), weight=second)
    heads = {
        "trained": ClassifierHead(trained, "last"),
        "refitted": ClassifierHead(refitted, "multilevel"),
    }
    logits = verdict.choose(heads).head.logits(columns) / verdict.temperature
    losses = -log_softmax(logits, axis=1)[np.arange(IMAGES), LABELS]
    assert losses.mean() == pytest.approx(verdict.best.log_loss, rel=1e-4)


def test_without_any_finished_training_nothing_is_kept():
    """Not even with keep="always"."""
    verdict = Verdict.of([], LABELS, TASK, blend=True, always=True)
    assert not verdict.kept and verdict.best is None
    assert verdict.gain_ci95 is None and verdict.loss_gain_errors is None and not verdict.images


def test_without_a_refitted_head_nothing_is_blended(measured):
    """A round that was cut off has only the jointly trained head."""
    for training in measured:
        training.scores.pop("refitted")
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    heads = {"trained": ClassifierHead(linear(3), "last")}
    assert verdict.choose(heads) is heads["trained"]


def test_a_tuned_model_that_is_worse_is_kept_only_if_asked(measured):
    """A model that is worse on held-out images is rolled back by default."""
    for training in measured:
        training.scores["probe"] = scores_with(0, 0.2)[training.held_out]
    assert not Verdict.of(measured, LABELS, TASK, blend=True, always=False).kept
    assert Verdict.of(measured, LABELS, TASK, blend=True, always=True).kept


@pytest.mark.parametrize(
    ("trained", "why_not"),
    [
        (scores_with(1, 1.0), ""),
        (scores_with(0, 1.2), "did not lower the log loss"),
        (scores_with(1, 5.0), "did not lower the log loss"),
    ],
    ids=["better", "the same", "worse"],
)
def test_the_reason_why_a_model_is_not_kept(trained, why_not):
    """A model that is not better is not kept, and the reason is given for reports."""
    verdict = Verdict.of(
        rounds(probe=scores_with(0, 1.2), trained=trained), LABELS, TASK, blend=False, always=False
    )
    assert (verdict.why_not, verdict.kept) == (why_not, not why_not)


def test_a_lower_loss_with_lower_accuracy_is_not_kept():
    """Smaller mistakes do not make up for more of them."""
    frozen = np.where(np.arange(IMAGES)[:, None] % 10 == 0, -9.0, 0.6) * TRUTH
    tuned = np.where(np.arange(IMAGES)[:, None] % 8 == 0, -0.1, 2.0) * TRUTH
    scores = rounds(probe=frozen.astype(np.float32), trained=tuned.astype(np.float32))
    verdict = Verdict.of(scores, LABELS, TASK, blend=False, always=False)
    assert verdict.why_not == "lowered the log loss, but predicted fewer images correctly"
    assert not verdict.kept


@pytest.mark.parametrize(("images", "doubtful"), [(199, True), (200, False), (0, False)])
def test_few_held_out_images_raise_doubts(measured, images, doubtful):
    """The number of images is said, and what to do."""
    verdict = Verdict.of(measured, LABELS, TASK, blend=True, always=False)
    probe = replace(verdict.probe, correct=verdict.probe.correct[:images]) if images else None
    expected = (
        f"Whether fine-tuning helps was decided on only {images} held-out images. With fewer than "
        "200, the wrong model may be chosen: measure it on other images."
    )
    assert replace(verdict, probe=probe).doubts == (expected if doubtful else "")
