"""The training loop: runs epochs until all are done or there is a reason to stop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from headstart.arrays import Rows
from headstart.record import Epoch
from headstart.tuning.boundary.rows import predict_rows
from headstart.tuning.events.events import Listener, StepEvent
from headstart.tuning.events.listeners import listeners
from headstart.tuning.training.checkpoint import Checkpoints, check_same_training, read_checkpoint
from headstart.tuning.training.examples import Batches
from headstart.tuning.training.hooks import (
    Hook,
    HookList,
    SaveCheckpoints,
    SendEvents,
    ShowProgress,
)
from headstart.tuning.training.interruption import Interruption, catch_interruption
from headstart.tuning.training.objective import Classification, Objective
from headstart.tuning.training.recipe import optimiser_of, schedule_of
from headstart.tuning.training.setup import Setup
from headstart.tuning.training.state import TrainingState
from headstart.tuning.training.step import Stepper
from headstart.tuning.training.workers import Workers
from headstart.watching import Progress, Warn, name_step, no_warning

# Forward pass as a share of a training step, until it is measured.
_FORWARD = 0.35
# Training has diverged if the loss exceeds that of guessing this many times. It starts below, from
# a fitted head.
_DIVERGED = 3
INTERRUPTED = "it was interrupted"
OUT_OF_TIME = "the time limit was reached"


@dataclass(frozen=True)
class Monitoring:
    """Time limit, listeners and callbacks of a training.

    Attributes:
        deadline: Time limit by `time.perf_counter`, evaluation included.
        listeners: Names of the listeners for events, if there is a folder to write to.
        progress: Called with the numbers of images done and of all images.
        warn: Called with warnings for the user.
        name: The name of this training, such as "round 1 of 3".
        interrupted: Returns whether Ctrl-C was pressed in another process, which follows this one.
    """

    deadline: float | None = None
    listeners: Sequence[str] = ()
    progress: Progress | None = None
    warn: Warn = no_warning
    name: str = ""
    interrupted: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training; the weights are in the network.

    Attributes:
        best_epoch: Epoch whose weights were kept, from 1; 0 for the initial weights.
        history: All epochs.
        stopped: Why training stopped early, or None.
        computing: Share of the time in which training did not wait for rows, 0 to 1.
    """

    best_epoch: int
    history: list[Epoch] = field(default_factory=list)
    stopped: str | None = None
    computing: float = 1.0


class Loop:
    """Trains a network on rows and keeps its best weights.

    Args:
        setup: The network, the images and the recipe.
        monitoring: Time limit, listeners and callbacks. Only those of the first worker are called.
        objective: What is lowered; by default, the loss of predicting the classes.
        workers: The workers that run this loop together, each with an equal setup.
    """

    def __init__(
        self,
        setup: Setup,
        monitoring: Monitoring | None = None,
        objective: Objective | None = None,
        workers: Workers | None = None,
    ) -> None:
        network, examples = setup.network, setup.examples
        recipe, setting = setup.recipe, setup.setting
        setting.apply_layout(network)
        self.network, self.examples, self.recipe, self.setting = network, examples, recipe, setting
        self._checkpoints, self._monitoring = setup.checkpoints, monitoring or Monitoring()
        self._workers = workers or Workers()
        self._batches = Batches(examples, recipe.batch_size, recipe.seed, self._workers)
        optimiser = optimiser_of(network, setup.backbone, recipe)
        self._schedule = schedule_of(optimiser, recipe, self._batches.steps * recipe.epochs)
        self._objective = objective or Classification(
            examples.task, examples.targets, examples.classes, recipe.label_smoothing
        )
        stepper = Stepper(
            *(network, optimiser, self._objective, recipe, setting),
            *(self._monitoring.warn, self._workers),
        )
        self.state = TrainingState(network, optimiser, stepper, recipe)
        self._forward = 0.0  # Seconds per image of a forward pass.

    def run(self) -> TrainingResult:
        """Train until the end, the deadline, Ctrl-C, or early stopping.

        Raises:
            TuningError: The checkpoint belongs to another training.
        """
        total = self._batches.steps * self.recipe.epochs
        checkpoints = self._checkpoints
        # Restores the caller's random state and number of threads.
        devices = [torch.cuda.current_device()] if self.setting.device == "cuda" else []
        with torch.random.fork_rng(devices), self.setting.use_threads():
            if checkpoints is not None and checkpoints.resume:
                self._resume(checkpoints)
            start = time.perf_counter()
            names = self._monitoring.listeners if checkpoints else ()
            folder = checkpoints.folder if checkpoints else Path()
            step = self.state.position.step
            with listeners(names, folder, step, warn=self._monitoring.warn) as listener:
                stopped = self._train(total, self._hook(listener, total))
            computing = 1 - self._batches.wait_seconds / max(time.perf_counter() - start, 1e-9)
            if not self._keeps_best:
                self.state.keep(len(self.state.position.history))
            self.network.load_trained_state(self.state.best)
        return TrainingResult(
            self.state.position.best_epoch, self.state.position.history, stopped, computing
        )

    def step(self, batch: Rows, rows: Tensor) -> float:
        """Take one step and return its loss; if it is not finite, nothing changes.

        Args:
            batch: The images of the step.
            rows: The inputs of this worker's share of them.
        """
        position = self.state.position
        if self._schedule:
            self._schedule.step_update(position.step)
        truth = self.examples.truth(self._workers.share(batch))
        loss = self.state.stepper.take(position.step, rows, truth, len(batch))
        if math.isfinite(loss):
            position.step += 1
            position.loss_sum += loss
            self.state.average.update(self.network, step=position.step + 1)
        return loss

    def _hook(self, listener: Listener, total: int) -> Hook:
        hooks: list[Hook] = [SendEvents(listener)]
        if self._monitoring.progress:
            progress, name = self._monitoring.progress, self._monitoring.name
            hooks.append(ShowProgress(progress, self.recipe.batch_size, total, name))
        if self._checkpoints and self._workers.leads:
            steps, warn = self._batches.steps, self._monitoring.warn
            hooks.append(SaveCheckpoints(self._checkpoints, steps, warn))
        return HookList(hooks)

    def _train(self, total: int, hook: Hook) -> str | None:
        """Train epoch by epoch; return the reason if training stops early."""
        position = self.state.position
        with catch_interruption() as interruption:
            while position.step < total and not self._reason_to_stop:
                if stopped := self._epoch(hook, interruption):
                    return stopped
                stopped = self._cut_off(interruption)
                if stopped == INTERRUPTED or (stopped and position.step < total):
                    return stopped
        return self._reason_to_stop

    def _epoch(self, hook: Hook, interruption: Interruption) -> str | None:
        """Finish an epoch and evaluate it; return the reason to stop, or None."""
        begin, position, steps = time.perf_counter(), self.state.position, self._batches.steps
        epoch, start = divmod(position.step, steps)
        for batch, rows in self._batches.of_epoch(epoch, start):
            loss = self.step(batch, rows)
            if not math.isfinite(loss):
                names = ", ".join(str(self.examples.names[image]) for image in batch[:3])
                return f"the loss was {loss} in epoch {epoch + 1}, for images {names} and others"
            hook.step(
                self.state, StepEvent(position.step, epoch + 1, loss, self.state.learning_rate)
            )
            if position.step % steps == 0:
                break
            if stopped := self._cut_off(interruption):
                hook.interrupted(self.state)
                return stopped
        name_step(self._monitoring.progress, f"{self._monitoring.name}, evaluating")
        hook.epoch(self.state, self._end_epoch(epoch + 1, time.perf_counter() - begin))
        return None

    def _end_epoch(self, epoch: int, seconds: float) -> Epoch:
        """Evaluate an epoch, and keep its weights if they are the best so far."""
        begin, position = time.perf_counter(), self.state.position
        loss, accuracy = self._measure()
        if held_out := len(self.examples.held_out) * self.examples.measured_views:
            self._forward = (time.perf_counter() - begin) / held_out
        elif not self._forward:
            self._forward = _FORWARD * seconds / len(self.examples.train)
        mean, position.loss_sum = position.loss_sum / self._batches.steps, 0.0
        rate = self.state.learning_rate
        event = Epoch(position.step, epoch, mean, loss, accuracy, rate, seconds)
        position.history.append(event)
        if not self._keeps_best:
            return event
        # Only trained epochs are compared. Whether the frozen model is better is decided later,
        # with the heads that would be used.
        if loss < (math.inf if position.best_loss is None else position.best_loss):
            position.best_loss, position.waited = loss, 0
            self.state.keep(epoch)
        else:
            position.waited += 1
        return event

    def _measure(self) -> tuple[float, float]:
        """Return what the objective measures of the averaged weights on held-out images."""
        examples, average = self.examples, self.state.average.module
        if not len(examples.held_out):
            return math.nan, math.nan
        views, part = range(examples.measured_views), self._workers.part(examples.held_out)
        outputs = predict_rows(average, examples.source, part, self.setting, views)
        outputs = self._workers.gather(outputs)
        return self._workers.agree(self._objective.measure(outputs.numpy(), examples.held_out))

    @property
    def _keeps_best(self) -> bool:
        """Whether the best epoch is kept instead of the last."""
        return self.recipe.choose and len(self.examples.held_out) > 0

    @property
    def _reason_to_stop(self) -> str | None:
        """The reason why more epochs would not help, or None."""
        position = self.state.position
        if position.waited >= self.recipe.patience:
            return f"held-out images did not improve for {position.waited} epochs"
        guessing = self._objective.guessing
        last = position.history[-1] if position.history else None
        loss = last.train_loss if last else None
        if last and loss and self.recipe.choose and loss > _DIVERGED * guessing:
            return (
                f"the loss rose to {loss:.1f} in epoch {last.epoch}, while guessing gives "
                f"{guessing:.1f}: the learning rate is too high for these images "
                f"({self.recipe.learning_rate:.0e} at its peak)"
            )
        return None

    def _cut_off(self, interruption: Interruption) -> str | None:
        """Return why training has to stop after this step, or None."""
        stopped = None
        if interruption.requested or self._monitoring.interrupted():
            stopped = INTERRUPTED
        elif self._time_is_up():
            stopped = OUT_OF_TIME
        return self._workers.agree(stopped)

    def _time_is_up(self) -> bool:
        """Return whether only the time for the final evaluation is left."""
        deadline = self._monitoring.deadline
        left = math.inf if deadline is None else deadline - time.perf_counter()
        return left < self._evaluation_seconds()

    def _evaluation_seconds(self) -> float:
        """Estimate the time to evaluate this epoch and to do what follows the last one.

        At the end there are two forward passes of the held-out images and one of all images, to
        refit the head.
        """
        images = 3 * len(self.examples.held_out) + len(self.examples.train)
        return self._forward * self.examples.measured_views * images

    def _resume(self, checkpoints: Checkpoints) -> None:
        """Resume from the newest intact checkpoint.

        Raises:
            TuningError: It belongs to another training; the message lists the differences.
        """
        found, problem = self._workers.agree(
            read_checkpoint(checkpoints.folder) if self._workers.leads else (None, None)
        )
        if problem:
            self._monitoring.warn(problem)
        if found is not None:
            check_same_training(found.state["identity"], checkpoints.identity, checkpoints.folder)
            self.state.restore(found)


Train = Callable[[Setup, Monitoring], TrainingResult]
"""Runs a training, after which the network of its setup has the trained weights."""


def train_here(setup: Setup, monitoring: Monitoring) -> TrainingResult:
    """Train in this process."""
    return Loop(setup, monitoring).run()
