"""Held-out images, rounds, and when an additional round is trained."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.evaluation.comparison import measure_held_out
from headstart.heads.problem import HeldOut
from headstart.options import TuneOptions
from headstart.tuning.held_out import learning_set
from headstart.tuning.verdict import Verdict
from headstart.watching import SilentWatcher, StageProgress, no_progress
from tests.conftest import TASK
from tests.tuning.conftest import QUICK


def test_small_data_is_cross_validated(model, data, monkeypatch):
    """Every training image is held out once, and the final model is trained on all of them."""
    monkeypatch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 800)
    record = model.fine_tune(data.train, keep="always", **QUICK)
    assert record.rounds == 5
    assert record.images == len(data.train)
    assert record.probe_accuracy == model.candidates[0].accuracy
    assert record.final


def test_the_frozen_model_has_one_estimate(model, data):
    """It is that of its choice on the same folds; for other images, it is measured anew."""
    images, fit = model._chosen
    wrong = HeldOut(fit.held_out.rows, -fit.held_out.logits)
    model._chosen = images, replace(fit, held_out=wrong)
    assert model.fine_tune(data.train, **QUICK).probe_accuracy < 0.5
    half = data.train.take(np.arange(0, len(data.train), 2))
    model._chosen = images, replace(fit, held_out=wrong)
    assert model.fine_tune(half, **QUICK).probe_accuracy > 0.5


@pytest.mark.parametrize(
    ("minutes", "conclusive", "rounds"), [(10.0, False, 5), (10.0, True, 1), (None, False, 1)]
)
def test_more_rounds_are_trained_while_results_are_inconclusive(
    model, data, monkeypatch, minutes, conclusive, rounds
):
    """A time limit is used for additional rounds; without one there are none."""
    monkeypatch.setattr(Verdict, "conclusive", conclusive)
    record = model.fine_tune(data.train, minutes=minutes, **QUICK)
    assert record.rounds == rounds


def test_two_standard_errors_are_conclusive():
    """The sign of the difference does not matter."""
    labels = np.arange(400) % 2
    truth = np.where(labels[:, None] == np.arange(2), 1.0, -1.0)
    draw = np.random.default_rng(0)
    good, bad, similar = (
        measure_held_out(
            (truth + noise * draw.normal(size=truth.shape)).astype(np.float32), labels, TASK
        )
        for noise in (0.5, 2.0, 0.5)
    )
    assert Verdict("trained", True, 1.0, probe=bad, best=good).conclusive
    assert Verdict("trained", False, 1.0, probe=good, best=bad).conclusive
    assert not Verdict("trained", False, 1.0, probe=good, best=similar).conclusive
    assert not Verdict("", False, 1.0).conclusive


def test_a_validation_part_decides(model, data):
    """There is one round, and the validation part is not trained on."""
    half = np.arange(len(data.train)) % 2 == 0
    learn, val = (data.train.take(np.flatnonzero(part)) for part in (half, ~half))
    record = model.fine_tune(learn, val=val, keep="always", **QUICK)
    assert (record.rounds, record.images, record.final) == (1, len(val), False)


def test_the_digest_of_a_learning_set_depends_on_its_content(data):
    """The same images and folds have the same digest, different folds a different one."""
    first, same, different = (
        learning_set(data.train, None, hold_out=True, seed=n) for n in (0, 0, 1)
    )
    assert first.digest() == same.digest() != different.digest()


def test_nothing_is_held_out_without_a_decision(data):
    """The tutorial's recipe trains on every image."""
    images = learning_set(data.train, None, hold_out=False, seed=0)
    train, held_out = images.everything
    assert not images.rounds and not images.final
    assert len(train) == len(images) and not len(held_out)


@pytest.mark.parametrize(
    ("rounds", "minutes", "expected"),
    [(1, None, "round 1 of 1"), (5, None, "round 5 of 5"), (1, 5.0, "round 1 of at most 5")],
)
def test_the_steps_of_fine_tuning_are_named(model, data, monkeypatch, rounds, minutes, expected):
    """At any time, it is known what runs now: storing, timing, a step, an evaluation, a head."""
    if rounds > 1:
        monkeypatch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 1000)
    names = []
    progress = StageProgress(no_progress, names.append, names.append)
    options = TuneOptions(**QUICK | {"epochs": 1, "minutes": minutes})
    model.tune(
        data.train,
        options,
        val=None,
        part="stages:1",
        keep="always",
        progress=progress,
        watcher=SilentWatcher(),
    )
    assert names[:4] == [
        "preparing",
        "storing the output of the frozen layers",
        "timing training steps",
        expected.replace("round 5", "round 1") + ", fitting its first head",
    ]
    steps = [name for name in names if name.startswith(f"{expected}, ")]
    assert steps[1].startswith(f"{expected}, step 1 of ")
    assert steps[-2:] == [f"{expected}, evaluating", f"{expected}, fitting its last heads"]
    assert names[-1] == "the final training, fitting its last heads"
