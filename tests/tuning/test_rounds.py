"""What is held out, how often, and when another round is worth its time."""

import numpy as np
import pytest

from headstart.evaluation.comparison import measure_held_out
from headstart.tuning.held_out import learning_set
from headstart.tuning.verdict import Verdict
from tests.conftest import TASK
from tests.tuning.conftest import QUICK


def test_small_data_is_held_out_in_turns(model, data, monkeypatch):
    """Every training image is held out once, and what is kept learns from all of them."""
    monkeypatch.setattr("headstart.tuning.held_out.ALL_FOLDS", 800)
    record = model.fine_tune(data.train, keep="always", **QUICK)
    assert record.rounds == 5
    assert record.images == len(data.train)
    assert record.final


@pytest.mark.parametrize(
    ("minutes", "clear", "rounds"), [(10.0, False, 5), (10.0, True, 1), (None, False, 1)]
)
def test_more_is_held_out_while_it_is_unclear_and_there_is_time(
    model, data, monkeypatch, minutes, clear, rounds
):
    """Minutes that the user gave go into deciding better; without them nothing takes longer."""
    monkeypatch.setattr(Verdict, "clear", clear)
    record = model.fine_tune(data.train, minutes=minutes, **QUICK)
    assert record.rounds == rounds


def test_what_is_clear():
    """Two standard errors, either way."""
    labels = np.arange(400) % 2
    truth = np.where(labels[:, None] == np.arange(2), 1.0, -1.0)
    draw = np.random.default_rng(0)
    good, bad, other = (
        measure_held_out(
            (truth + noise * draw.normal(size=truth.shape)).astype(np.float32), labels, TASK
        )
        for noise in (0.5, 2.0, 0.5)
    )
    assert Verdict("along", True, 1.0, probe=bad, best=good).clear
    assert Verdict("along", False, 1.0, probe=good, best=bad).clear
    assert not Verdict("along", False, 1.0, probe=good, best=other).clear
    assert not Verdict("", False, 1.0).clear


def test_a_validation_part_is_what_is_decided_by(model, data):
    """Then there is one round, and nothing is learnt from the validation part."""
    half = np.arange(len(data.train)) % 2 == 0
    learn, val = (data.train.take(np.flatnonzero(part)) for part in (half, ~half))
    record = model.fine_tune(learn, val=val, keep="always", **QUICK)
    assert (record.rounds, record.images, record.final) == (1, len(val), False)


def test_a_learning_set_is_named_by_its_content(data):
    """The same images and folds have the same digest, others another one."""
    one, same, other = (learning_set(data.train, None, hold_out=True, seed=n) for n in (0, 0, 1))
    assert one.digest() == same.digest() != other.digest()


def test_nothing_is_held_out_where_nothing_is_to_be_decided(data):
    """The tutorial's recipe learns from every image."""
    images = learning_set(data.train, None, hold_out=False, seed=0)
    train, held_out = images.everything
    assert not images.rounds and not images.final
    assert len(train) == len(images) and not len(held_out)
