"""Hooks: checkpoints and progress."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.tasks.single import Single
from headstart.tuning.events.events import StepEvent
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import Checkpoints, read_checkpoint
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.hooks import SaveCheckpoints, ShowProgress
from headstart.tuning.training.loop import Loop
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.setup import Setup
from headstart.watching import StageProgress


@pytest.fixture
def state():
    """The state of a training before its first step."""
    images = np.arange(4)
    examples = Examples(None, Single(), images % 2, 2, images, images[:0], ["a", "b", "c", "d"])
    network = HeadedNetwork(nn.Identity(), zero_head(3, 2), slice(0, 3))
    setup = Setup(network, nn.Linear(1, 1), examples, Recipe(batch_size=2), Setting())
    return Loop(setup).state


def event(step):
    """Return a step."""
    return StepEvent(step, 1, 0.5, 1e-3)


def test_a_checkpoint_at_the_end_of_an_epoch_has_its_evaluation(state, tmp_path, monkeypatch):
    """After the last step of an epoch, none is written before the evaluation."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 3)
    hook = SaveCheckpoints(Checkpoints(tmp_path, {"part": "all"}), 6, pytest.fail)
    for step, written in ((1, False), (6, False), (3, True)):
        hook.step(state, event(step))
        assert bool(list(tmp_path.iterdir())) == written


def test_a_state_is_restored_from_its_checkpoint(state, tmp_path):
    """Weights, best weights and position are restored."""
    state.position.step, state.stepper.micro_batch = 7, 4
    with torch.no_grad():
        state.network.top.weight.add_(1)
    state.keep(1)
    hook = SaveCheckpoints(Checkpoints(tmp_path, {"part": "all"}), 6, pytest.fail)
    hook.interrupted(state)
    found, problem = read_checkpoint(tmp_path)
    with torch.no_grad():
        state.network.top.weight.add_(1)
    state.position.step, state.stepper.micro_batch = 0, 1024
    state.restore(found)
    assert problem is None and found.state["identity"] == {"part": "all"}
    assert (state.position.step, state.position.best_epoch, state.stepper.micro_batch) == (7, 1, 4)
    assert (state.network.top.weight == 1).all()


def test_progress_is_in_images(state):
    """The number of images is steps times batch size; the step is named."""
    seen, names = [], []
    progress = StageProgress(lambda *numbers: seen.append(numbers), names.append, names.append)
    ShowProgress(progress, 8, 10, "round 1 of 3").step(state, event(3))
    assert names == ["round 1 of 3, step 3 of 10"]
    assert seen == [(24, 80)]
