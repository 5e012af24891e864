"""One training step: forward, backward, and smaller parts of the batch where memory is short."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from headstart.task import Task
from headstart.tuning.pacing.timing import Setting, moved
from headstart.tuning.training.recipe import Recipe
from headstart.watching import Warn


class Stepper:
    """Takes steps with a network.

    Attributes:
        micro_batch: Most images that pass at a time; gradients of a larger batch are accumulated.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        task: Task,
        recipe: Recipe,
        setting: Setting,
        warn: Warn,
    ) -> None:
        self._network, self._optimiser, self._task = network, optimiser, task
        self._recipe, self._setting, self._warn = recipe, setting, warn
        self.micro_batch = setting.micro_batch

    def take(self, number: int, rows: Tensor, truth: Tensor) -> float:
        """Take one step and return its loss; where that is not finite, weights do not change.

        Args:
            number: Of the step, on which mixing and dropout depend.
            rows: A batch of what the network reads.
            truth: Of the batch, (images, classes).
        """
        loss = self._gradients(number, *self._mixed(number, rows, truth))
        if not math.isfinite(loss):
            return loss
        if self._recipe.clip:
            learning = [one for one in self._network.parameters() if one.requires_grad]
            nn.utils.clip_grad_norm_(learning, self._recipe.clip)
        self._optimiser.step()
        return loss

    def accumulate(self, rows: Tensor, truth: Tensor) -> float:
        """Add the gradients of a batch, part by part, and return its loss."""
        total = 0.0
        parts = zip(
            torch.split(rows, self.micro_batch), torch.split(truth, self.micro_batch), strict=True
        )
        for part, expected in parts:
            with self._setting.autocast():
                scores = self._network(moved(part, self._setting))
            loss = self._task.training_loss(
                scores, moved(expected, self._setting), smoothing=self._recipe.label_smoothing
            )
            share = len(part) / len(rows)
            torch.autograd.backward(loss * share)
            total += loss.item() * share
        return total

    def _mixed(self, number: int, rows: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        if self._recipe.mixup <= 0:
            return rows, truth
        draw = np.random.default_rng([self._recipe.seed, number])
        share = float(draw.beta(self._recipe.mixup, self._recipe.mixup))
        return (
            torch.lerp(rows.flip(0).float(), rows.float(), share),
            torch.lerp(truth.flip(0), truth, share),
        )

    def _gradients(self, number: int, rows: Tensor, truth: Tensor) -> float:
        """Run forward and backward, in smaller parts if memory is short; return the loss."""
        while True:
            self._optimiser.zero_grad(set_to_none=True)
            enter_training(self._network, statistics=self._recipe.statistics)
            torch.manual_seed(self._recipe.seed * 1_000_003 + number)
            try:
                return self.accumulate(rows, truth)
            except (RuntimeError, MemoryError) as error:
                if not _short_of_memory(error) or self.micro_batch < 2:
                    raise
                self.micro_batch = min(self.micro_batch, len(rows)) // 2
                self._warn(
                    "Memory was short, so gradients are now accumulated over parts of "
                    f"{self.micro_batch} images."
                )


def enter_training(network: nn.Module, *, statistics: bool) -> None:
    """Enter training mode, batch norms only if they are to gather statistics."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not statistics:
            module.eval()


def _short_of_memory(error: BaseException) -> bool:
    text = str(error)
    signs = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
