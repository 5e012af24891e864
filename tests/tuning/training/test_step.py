"""Training steps with too little memory."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.tasks.single import Single
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import Loop, Monitoring
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.training.objective import Classification
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.setup import Setup
from headstart.tuning.training.step import Stepper
from headstart.tuning.training.workers import Workers

WIDTH, CLASSES, IMAGES = 5, 3, 16


class OutOfMemory(nn.Module):
    """Returns its input, but runs out of memory for large batches."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.sizes = limit, []

    def forward(self, rows):
        if self.training:
            self.sizes.append(len(rows))
            if len(rows) > self.limit:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return rows


class Broken(nn.Module):
    """Always raises an error."""

    def forward(self, rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class RowsInMemory:
    """A source of random rows in memory."""

    background = False

    def __init__(self):
        self._rows = torch.rand(IMAGES, WIDTH, generator=torch.Generator().manual_seed(0))

    def rows(self, images, views):
        return self._rows[torch.from_numpy(images)]


def loop_of(above, warnings):
    """Return a training of two epochs of two steps."""
    images = np.arange(IMAGES)
    names = [f"{number}.png" for number in images]
    examples = Examples(
        RowsInMemory(), Single(), images % CLASSES, CLASSES, images, images[:0], names
    )
    network = HeadedNetwork(above, zero_head(WIDTH, CLASSES), slice(0, WIDTH))
    recipe = Recipe(epochs=2, batch_size=8)
    setup = Setup(network, nn.Linear(1, 1), examples, recipe, Setting())
    return Loop(setup, Monitoring(warn=warnings))


def test_short_memory_halves_the_micro_batch():
    """Gradients are accumulated over parts of the batch, with a warning for each halving."""
    above, warnings = OutOfMemory(limit=2), []
    trained = loop_of(above, warnings.append).run()
    assert above.sizes == [8, 4] + 4 * [2] + 3 * 4 * [2]
    assert warnings == [
        f"Memory is short; gradients are now accumulated over parts of {count} images."
        for count in (4, 2)
    ]
    assert trained.stopped is None and len(trained.history) == 2


def test_too_little_memory_for_one_image_is_an_error():
    """The batch cannot be halved any more."""
    with pytest.raises(RuntimeError, match="allocate memory"):
        loop_of(OutOfMemory(limit=0), lambda text: None).run()


def test_other_errors_are_raised():
    """Only memory errors lead to smaller parts."""
    with pytest.raises(RuntimeError, match="shapes"):
        loop_of(Broken(), lambda text: None).run()


def test_accumulated_gradients_equal_those_of_the_batch():
    """They are equal up to rounding."""
    rows, truth = torch.rand(8, WIDTH), torch.eye(CLASSES)[torch.arange(8) % CLASSES]
    gradients = []
    for micro_batch in (8, 3):
        network = HeadedNetwork(nn.Identity(), zero_head(WIDTH, CLASSES), slice(0, WIDTH))
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        setting = Setting(micro_batch=micro_batch)
        objective = Classification(Single(), np.arange(8) % CLASSES, CLASSES, smoothing=0.05)
        stepper = Stepper(
            *(network, optimiser, objective, Recipe(), setting), pytest.fail, Workers()
        )
        stepper.accumulate(rows, truth, len(rows))
        gradients.append(network.top.weight.grad)
    torch.testing.assert_close(*gradients)
