"""A training step where memory is short."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.tasks.single import Single
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import Loop, Watch
from headstart.tuning.training.network import HeadedNetwork, untrained
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.step import Stepper

WIDTH, CLASSES, IMAGES = 5, 3, 16


class Short(nn.Module):
    """Hands rows on, as long as they are few."""

    def __init__(self, most):
        super().__init__()
        self.most, self.sizes = most, []

    def forward(self, rows):
        if self.training:
            self.sizes.append(len(rows))
            if len(rows) > self.most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return rows


class Broken(nn.Module):
    """Cannot compute anything."""

    def forward(self, rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class Ready:
    """Rows in memory."""

    background = False

    def __init__(self):
        self._rows = torch.rand(IMAGES, WIDTH, generator=torch.Generator().manual_seed(0))

    def rows(self, images, views):
        return self._rows[torch.from_numpy(images)]


def loop_of(above, said):
    """Return a training of two epochs of two steps."""
    images = np.arange(IMAGES)
    names = [f"{number}.png" for number in images]
    examples = Examples(Ready(), Single(), images % CLASSES, CLASSES, images, images[:0], names)
    network = HeadedNetwork(above, untrained(WIDTH, CLASSES), slice(0, WIDTH))
    recipe = Recipe(epochs=2, batch_size=8)
    return Loop(network, nn.Linear(1, 1), examples, recipe, Setting(), watch=Watch(warn=said))


def test_short_memory_halves_the_batch_and_goes_on():
    """Gradients are accumulated over parts of the batch, and that is said once for each half."""
    above, said = Short(most=2), []
    trained = loop_of(above, said.append).run()
    assert above.sizes == [8, 4] + 4 * [2] + 3 * 4 * [2]
    assert said == [
        f"Memory was short, so gradients are now accumulated over parts of {count} images."
        for count in (4, 2)
    ]
    assert trained.stopped is None and len(trained.history) == 2


def test_memory_that_is_short_for_one_image_ends_training():
    """There is nothing left to halve."""
    with pytest.raises(RuntimeError, match="allocate memory"):
        loop_of(Short(most=0), lambda text: None).run()


def test_other_errors_of_a_step_are_not_swallowed():
    """Only a shortage of memory is answered by smaller parts."""
    with pytest.raises(RuntimeError, match="shapes"):
        loop_of(Broken(), lambda text: None).run()


def test_parts_of_a_batch_give_the_gradients_of_the_whole():
    """Accumulated gradients are those of the batch at once, up to rounding."""
    rows, truth = torch.rand(8, WIDTH), torch.eye(CLASSES)[torch.arange(8) % CLASSES]
    gradients = []
    for micro_batch in (8, 3):
        network = HeadedNetwork(nn.Identity(), untrained(WIDTH, CLASSES), slice(0, WIDTH))
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        setting = Setting(micro_batch=micro_batch)
        stepper = Stepper(network, optimiser, Single(), Recipe(), setting, lambda text: None)
        stepper.accumulate(rows, truth)
        gradients.append(network.top.weight.grad)
    torch.testing.assert_close(*gradients)
