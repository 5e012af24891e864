"""Unfitted heads: each can be fitted, and invalid settings raise a clear error."""

import numpy as np
import pytest

from headstart.errors import OptionError
from headstart.heads.specs import (
    AutoHead,
    KernelHead,
    LinearHead,
    MLPHead,
    NearestHead,
    head_named,
)
from tests.heads.problems import blobs, problem


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", AutoHead),
        ("linear", LinearHead),
        ("kernel", KernelHead),
        ("mlp", MLPHead),
        ("nearest", NearestHead),
    ],
)
def test_an_option_names_a_head(name, kind):
    """Each value of the option maps to a class."""
    assert head_named(name) == kind()


@pytest.mark.parametrize(
    "head",
    [
        AutoHead(),
        LinearHead(),
        KernelHead(),
        MLPHead(hidden=16, epochs=60, learning_rate=1e-2),
        NearestHead(),
    ],
)
def test_every_head_learns(head):
    """Each head predicts new points of three clouds, using the columns that it names."""
    features, labels = blobs(count=120, width=6)
    noise = np.random.default_rng(1).normal(size=(120, 6))
    task = problem(np.concatenate([noise, features], axis=1), labels, last=6)
    fit = head.fit(task, seed=0)
    assert fit.features == "multilevel"
    assert len({row.features for row in fit.candidates}) == 2
    new, truth = blobs(count=120, width=6, seed=1)
    rows = np.concatenate([noise, new], axis=1).astype(np.float32)
    assert (fit.head.logits(rows).argmax(axis=1) == truth).mean() > 0.6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden": 0}, "hidden must be at least 1. Got 0."),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1. Got 1.0."),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1. Got -0.1."),
        ({"epochs": 0}, "epochs must be at least 1. Got 0."),
        ({"learning_rate": 0.0}, "learning_rate must be above 0. Got 0.0."),
    ],
)
def test_an_invalid_setting_is_an_error(setting, message):
    """The message has the limit and the value."""
    with pytest.raises(OptionError) as caught:
        MLPHead(**setting)
    assert str(caught.value) == message
