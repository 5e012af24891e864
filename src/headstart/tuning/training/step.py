"""A training step: forward and backward pass, with gradient accumulation if memory is short."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from headstart.tuning.pacing.timing import Setting, to_device
from headstart.tuning.training.objective import Objective
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.workers import Workers
from headstart.watching import Warn


class Stepper:
    """Takes training steps.

    Attributes:
        micro_batch: Maximum number of images at a time; larger batches use gradient accumulation.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        objective: Objective,
        recipe: Recipe,
        setting: Setting,
        warn: Warn,
        workers: Workers,
    ) -> None:
        self._network, self._optimiser, self._objective = network, optimiser, objective
        self._recipe, self._setting, self._warn = recipe, setting, warn
        self._workers = workers
        self.micro_batch = setting.micro_batch

    def take(self, number: int, rows: Tensor, truth: Tensor, images: int) -> float:
        """Take one step and return its loss; if it is not finite, weights do not change.

        Args:
            number: Number of the step, which seeds mixup and dropout.
            rows: This worker's share of a batch of inputs.
            truth: Their encoded targets, (images, classes).
            images: The number of images in the whole batch.
        """
        loss = self._gradients(number, *self._mixed(number, rows, truth), images)
        trainable = [p for p in self._network.parameters() if p.requires_grad]
        loss = self._workers.sum(loss, trainable)
        if not math.isfinite(loss):
            return loss
        if self._recipe.clip:
            nn.utils.clip_grad_norm_(trainable, self._recipe.clip)
        self._optimiser.step()
        return loss

    def accumulate(self, rows: Tensor, truth: Tensor, images: int) -> float:
        """Accumulate the gradients of a share of a batch in parts, and return its part of the loss.

        Args:
            rows: The inputs.
            truth: Their encoded targets, (images, classes).
            images: The number of images in the whole batch, over which the loss is a mean.
        """
        if not len(rows):
            return 0.0
        total = 0.0
        parts = zip(
            torch.split(rows, self.micro_batch), torch.split(truth, self.micro_batch), strict=True
        )
        for part, targets in parts:
            with self._setting.autocast():
                scores = self._network(to_device(part, self._setting))
            loss = self._objective.loss(scores, to_device(targets, self._setting))
            share = len(part) / images
            torch.autograd.backward(loss * share)
            total += loss.item() * share
        return total

    def _mixed(self, number: int, rows: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        if self._recipe.mixup <= 0:
            return rows, truth
        rng = np.random.default_rng([self._recipe.seed, number])
        share = float(rng.beta(self._recipe.mixup, self._recipe.mixup))
        return (
            torch.lerp(rows.flip(0).float(), rows.float(), share),
            torch.lerp(truth.flip(0), truth, share),
        )

    def _gradients(self, number: int, rows: Tensor, truth: Tensor, images: int) -> float:
        """Compute gradients, in smaller parts if memory is short, and return the loss."""
        while True:
            self._optimiser.zero_grad(set_to_none=True)
            enter_training(self._network, statistics=self._recipe.statistics)
            torch.manual_seed(self._recipe.seed * 1_000_003 + number)
            try:
                return self.accumulate(rows, truth, images)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error) or self.micro_batch < 2:
                    raise
                self.micro_batch = min(self.micro_batch, len(rows)) // 2
                self._warn(
                    "Memory is short; gradients are now accumulated over parts of "
                    f"{self.micro_batch} images."
                )


def enter_training(network: nn.Module, *, statistics: bool) -> None:
    """Enter training mode; batch norms only if they should update their statistics."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not statistics:
            module.eval()


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    signs = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
