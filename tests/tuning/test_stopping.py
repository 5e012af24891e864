"""Reasons to stop early: the time limit, divergence, an interruption, or no improvement."""

import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.evaluation.comparison import measure_held_out
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import FixedHead
from headstart.tuning import verdict
from headstart.tuning.rounds import FinalPlan
from headstart.tuning.training.checkpoint import read_checkpoint
from headstart.tuning.trainings import delete_finished
from tests.tuning.conftest import QUICK, at_step, changed, state


class Clock:
    """The real clock, which can be put forward."""

    def __init__(self, monkeypatch):
        self.ahead, self._now = 0.0, time.perf_counter
        monkeypatch.setattr(time, "perf_counter", lambda: self._now() + self.ahead)

    def put_forward(self):
        self.ahead = 3600.0


@pytest.fixture
def clock(monkeypatch):
    """A clock that can be put forward."""
    return Clock(monkeypatch)


def test_a_diverging_loss_stops_with_the_best_state(model, data, monkeypatch):
    """The reason names images of the batch, and the weights are finite."""
    entropy = torch.nn.functional.cross_entropy
    calls = []

    def diverging(*arguments, **options):
        loss = entropy(*arguments, **options)
        calls.extend([1] if options.get("label_smoothing") else [])
        return loss * float("nan") if len(calls) > 3 else loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", diverging)
    record = model.fine_tune(data.train, keep="always", **QUICK)
    assert record.stopped.startswith("the loss was nan in epoch")
    assert ".png" in record.stopped
    assert all(torch.isfinite(tensor).all() for tensor in state(model).values())


def test_an_exploding_loss_stops_training(model, data):
    """Training stops if the loss is far above that of guessing, and keeps the best epoch."""
    options = QUICK | {"epochs": 6, "learning_rate": 30.0}
    record = model.fine_tune(data.train, keep="always", **options)
    assert len(record.epochs) < 6
    assert "while guessing gives 1.1: the learning rate is too high" in record.stopped
    assert all(torch.isfinite(tensor).all() for tensor in state(model).values())


def test_the_best_trained_epoch_is_kept(model, data, monkeypatch):
    """Early stopping after four epochs keeps a trained epoch, not the initial weights."""
    losses = iter(range(20))
    monkeypatch.setattr(
        "headstart.tuning.training.objective.measure_held_out",
        lambda *args: replace(measure_held_out(*args), log_loss=float(next(losses))),
    )
    refitted = []
    fit = HeadChoice.fit

    def counted(self, *arguments):
        refitted.extend([1] if isinstance(self.head, FixedHead) else [])
        return fit(self, *arguments)

    monkeypatch.setattr(HeadChoice, "fit", counted)
    before = state(model)
    record = model.fine_tune(data.train, keep="always", **QUICK | {"epochs": 9})
    assert len(record.epochs) == 5
    assert record.stopped == "held-out images did not improve for 4 epochs"
    assert refitted and changed(before, state(model))


def test_the_time_limit_stops_training(model, data, clock):
    """Training stops within its minutes and records the reason."""
    options = QUICK | {"epochs": 50}
    stop = at_step(3, data, clock.put_forward, epochs=50)
    record = model.fine_tune(data.train, minutes=5.0, progress=stop, **options)
    assert record.stopped == "the time limit was reached"


def test_a_time_limit_after_an_epoch_leaves_a_tuned_model(model, data, clock, tmp_path):
    """The result so far is evaluated and can be kept; checkpoints are kept for resuming."""
    options = QUICK | {"epochs": 50, "checkpoints": tmp_path}
    stop = at_step(8, data, clock.put_forward, epochs=50)
    record = model.fine_tune(data.train, minutes=5.0, progress=stop, keep="always", **options)
    assert record.stopped == "the time limit was reached"
    assert record.kept and len(record.epochs) == 1 and not record.final
    delete_finished(model.checkpoints)
    assert (model.checkpoints / "round-0" / "checkpoint.json").exists()


def test_the_frozen_model_stays_if_no_other_learnt_from_all_images(model, data, clock, monkeypatch):
    """A better model of a round, which has learnt from four fifths, does not replace it."""
    monkeypatch.setattr(verdict, "beats", lambda *_: True)
    predicted, warnings = model.probabilities_of(data.test), []
    stop = at_step(8, data, clock.put_forward, epochs=50)
    options = QUICK | {"epochs": 50, "minutes": 5.0, "progress": stop, "warn": warnings.append}
    record = model.fine_tune(data.train, **options)
    assert (record.kept, record.final, len(record.epochs)) == (False, False, 1)
    assert record.why_not == (
        "was better on held-out images, but could not be trained on all images"
    )
    assert "The time limit leaves no time to train on the held-out images too." in warnings
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_the_final_training_has_as_many_epochs_as_fit(clock):
    """Heads and evaluation are counted; there are never more than the best number."""
    plan = FinalPlan(epochs=4, epoch_seconds=1000.0, other_seconds=500.0)
    assert plan.seconds == 4500.0 and plan.epochs_until(None) == 4
    now = time.perf_counter()
    assert [plan.epochs_until(now + left) for left in (1400, 2600, 9999)] == [0, 2, 4]
    clock.put_forward()
    assert plan.epochs_until(now + 3700) == 0


@pytest.mark.parametrize("keep", ["better", "always"])
def test_without_a_completed_epoch_nothing_is_kept(model, data, clock, keep):
    """An untrained network does not count as tuned, however good its head is."""
    before, predicted = state(model), model.probabilities_of(data.test)
    stop = at_step(1, data, clock.put_forward)
    record = model.fine_tune(data.train, minutes=5.0, keep=keep, progress=stop, **QUICK)
    assert not record.kept and not record.epochs and record.head == ""
    assert record.stopped == "the time limit was reached"
    assert record.tuned_accuracy is None and record.gain_ci95 is None
    assert not changed(before, state(model))
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_an_interruption_saves_and_leaves_a_usable_model(model, data, tmp_path):
    """After Ctrl-C the step is completed, a checkpoint is written, and the model can predict."""
    stop = at_step(4, data, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    record = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", progress=stop, keep="always", **QUICK
    )
    assert record.stopped == "it was interrupted"
    assert record.rounds == 1 and not record.final
    assert read_checkpoint(model.checkpoints / "round-0")[0].state["step"] == 4
    assert model.probabilities_of(data.test).shape == (len(data.test), 3)
    assert signal.getsignal(signal.SIGINT) is before
