"""The training loop: epochs over rows, until they are over or there is a reason to stop."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from headstart.arrays import Rows
from headstart.evaluation.comparison import measure_held_out
from headstart.record import Epoch
from headstart.tuning.boundary.rows import predict_rows
from headstart.tuning.events.events import Listener, StepEvent
from headstart.tuning.events.listeners import listeners
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import Checkpoints, read_checkpoint, require_same
from headstart.tuning.training.examples import Batches, Examples
from headstart.tuning.training.hooks import (
    Hook,
    SaveCheckpoints,
    SendEvents,
    Several,
    ShowProgress,
)
from headstart.tuning.training.interruption import Interruption, noticed
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.training.recipe import Recipe, optimiser_of, schedule_of
from headstart.tuning.training.state import TrainingState
from headstart.tuning.training.step import Stepper
from headstart.watching import Progress, Warn, no_warning

# Of a step's time, where nothing was measured yet.
_FORWARD = 0.35
# Times the loss of guessing. Training starts from a fitted head, which is below it.
_DIVERGED = 3
INTERRUPTED = "it was interrupted"
TIME_WAS_UP = "the time was up"


@dataclass(frozen=True)
class Watch:
    """Who follows a training, and for how long.

    Attributes:
        deadline: When to be done, by `time.perf_counter`, measuring included.
        listeners: Names of those that receive events, if there is a folder to write to.
        progress: Called with images done and images in all.
        warn: Called with what the user should know.
    """

    deadline: float | None = None
    listeners: Sequence[str] = ()
    progress: Progress | None = None
    warn: Warn = no_warning


@dataclass(frozen=True)
class Trained:
    """What the loop did; the network holds the weights.

    Attributes:
        best_epoch: Whose weights were kept, counted from 1; 0 for the first weights.
        history: Each epoch.
        stopped: Why it ended before its epochs were over, if it did.
        computing: Share of the time in which training did not wait for rows, 0 to 1.
    """

    best_epoch: int
    history: list[Epoch] = field(default_factory=list)
    stopped: str | None = None
    computing: float = 1.0


class Loop:
    """Trains a network on rows and keeps its best weights.

    Args:
        network: What is trained.
        backbone: All of the network that `network` has a part of; it names the layers.
        examples: What to learn from, and what to measure on.
        recipe: How to train.
        setting: How to take a step.
        checkpoints: Where the state is kept, or None.
        watch: Who follows it, and for how long.
    """

    def __init__(
        self,
        network: HeadedNetwork,
        backbone: nn.Module,
        examples: Examples,
        recipe: Recipe,
        setting: Setting,
        checkpoints: Checkpoints | None = None,
        watch: Watch | None = None,
    ) -> None:
        setting.laid_out(network)
        self.network, self.examples, self.recipe, self.setting = network, examples, recipe, setting
        self._checkpoints, self._watch = checkpoints, watch or Watch()
        self._batches = Batches(examples, recipe.batch_size, recipe.seed)
        optimiser = optimiser_of(network, backbone, recipe)
        self._schedule = schedule_of(optimiser, recipe, self._batches.steps * recipe.epochs)
        stepper = Stepper(network, optimiser, examples.task, recipe, setting, self._watch.warn)
        self.state = TrainingState(network, optimiser, stepper, recipe)
        self._forward = 0.0  # Seconds of an image.

    def run(self, *, epochs: int | None = None) -> Trained:
        """Train to the end, to the deadline, to a Ctrl-C, or until nothing improves any more.

        Args:
            epochs: After how many to stop, if not the recipe's; the schedule stays the recipe's.

        Raises:
            TuningError: The checkpoint is of another training.
        """
        total = self._batches.steps * min(self.recipe.epochs, epochs or self.recipe.epochs)
        kept = self._checkpoints
        # Leaves the caller's random numbers and threads as they are.
        devices = [torch.cuda.current_device()] if self.setting.device == "cuda" else []
        with torch.random.fork_rng(devices), self.setting.threaded():
            if kept is not None and kept.resume:
                self._resume(kept)
            start = time.perf_counter()
            names = self._watch.listeners if kept else ()
            folder = kept.folder if kept else Path()
            step = self.state.at.step
            with listeners(names, folder, step, warn=self._watch.warn) as listener:
                stopped = self._train(total, self._hook(listener, total))
            computing = 1 - self._batches.waited / max(time.perf_counter() - start, 1e-9)
            if not self._chooses:
                self.state.keep(len(self.state.at.history))
            self.network.load_trained(self.state.best)
        return Trained(self.state.at.best_epoch, self.state.at.history, stopped, computing)

    def step(self, batch: Rows, rows: Tensor) -> float:
        """Take one step and return its loss; where that is not finite, nothing changes."""
        at = self.state.at
        if self._schedule:
            self._schedule.step_update(at.step)
        loss = self.state.stepper.take(at.step, rows, self.examples.truth(batch))
        if math.isfinite(loss):
            at.step += 1
            at.loss_sum += loss
            self.state.average.update(self.network, step=at.step + 1)
        return loss

    def _hook(self, listener: Listener, total: int) -> Hook:
        hooks: list[Hook] = [SendEvents(listener)]
        if self._watch.progress:
            hooks.append(ShowProgress(self._watch.progress, self.recipe.batch_size, total))
        if self._checkpoints:
            steps, warn = self._batches.steps, self._watch.warn
            hooks.append(SaveCheckpoints(self._checkpoints, steps, warn))
        return Several(hooks)

    def _train(self, total: int, hook: Hook) -> str | None:
        """Train epoch after epoch; return the reason if it ends early."""
        at = self.state.at
        with noticed() as interruption:
            while at.step < total and not self._hopeless:
                if stopped := self._epoch(hook, interruption):
                    return stopped
                if interruption.asked:
                    return INTERRUPTED
                if self._time_is_up() and at.step < total:
                    return TIME_WAS_UP
        return self._hopeless

    def _epoch(self, hook: Hook, interruption: Interruption) -> str | None:
        """Take the steps of an epoch that are left, and measure; return the reason to stop."""
        begin, at, steps = time.perf_counter(), self.state.at, self._batches.steps
        epoch, place = divmod(at.step, steps)
        for batch, rows in self._batches.of_epoch(epoch, place):
            loss = self.step(batch, rows)
            if not math.isfinite(loss):
                named = ", ".join(str(self.examples.names[image]) for image in batch[:3])
                return f"the loss was {loss} in epoch {epoch + 1}, at images {named} and others"
            hook.step(self.state, StepEvent(at.step, epoch + 1, loss, self.state.learning_rate))
            if at.step % steps == 0:
                break
            if interruption.asked or self._time_is_up():
                hook.broken_off(self.state)
                return INTERRUPTED if interruption.asked else TIME_WAS_UP
        hook.epoch(self.state, self._end_epoch(epoch + 1, time.perf_counter() - begin))
        return None

    def _end_epoch(self, epoch: int, seconds: float) -> Epoch:
        """Measure an epoch, and keep its weights if they are the best so far."""
        begin, at = time.perf_counter(), self.state.at
        loss, accuracy = self._measure()
        if held_out := len(self.examples.held_out) * self.examples.measured_views:
            self._forward = (time.perf_counter() - begin) / held_out
        elif not self._forward:
            self._forward = _FORWARD * seconds / len(self.examples.train)
        mean, at.loss_sum = at.loss_sum / self._batches.steps, 0.0
        rate = self.state.learning_rate
        event = Epoch(at.step, epoch, mean, loss, accuracy, rate, seconds)
        at.history.append(event)
        if not self._chooses:
            return event
        # Among trained epochs: whether the frozen model is better is decided afterwards, with the
        # heads that would be used.
        if loss < (math.inf if at.best_loss is None else at.best_loss):
            at.best_loss, at.waited = loss, 0
            self.state.keep(epoch)
        else:
            at.waited += 1
        return event

    def _measure(self) -> tuple[float, float]:
        """Return log loss, calibrated, and accuracy of the average on the images held out.

        Calibrated, because label smoothing makes a network less sure than its start.
        """
        examples, average = self.examples, self.state.average.module
        if not len(examples.held_out):
            return math.nan, math.nan
        views = range(examples.measured_views)
        scores = predict_rows(average, examples.source, examples.held_out, self.setting, views)
        found = measure_held_out(scores.numpy(), examples.targets[examples.held_out], examples.task)
        return found.log_loss, found.accuracy

    @property
    def _chooses(self) -> bool:
        """Whether the best epoch is kept, or the last one."""
        return self.recipe.choose and len(self.examples.held_out) > 0

    @property
    def _hopeless(self) -> str | None:
        """The reason why more epochs would not help, if there is one."""
        at = self.state.at
        if at.waited >= self.recipe.patience:
            return f"held-out images did not improve for {at.waited} epochs"
        guessing = self.examples.task.guessing_loss(self.examples.classes)
        last = at.history[-1] if at.history else None
        loss = last.train_loss if last else None
        if last and loss and self.recipe.choose and loss > _DIVERGED * guessing:
            return (
                f"the loss rose to {loss:.1f} in epoch {last.epoch}, where guessing has "
                f"{guessing:.1f}: the learning rate is too high for these images "
                f"({self.recipe.learning_rate:.0e} at its highest)"
            )
        return None

    def _time_is_up(self) -> bool:
        """Return whether only the time is left that measuring at the end needs."""
        deadline = self._watch.deadline
        left = math.inf if deadline is None else deadline - time.perf_counter()
        return left < self._seconds_after()

    def _seconds_after(self) -> float:
        """Estimate the time that measuring this epoch and what follows the last one will take.

        Afterwards the held-out images pass twice, and all images once to refit the head; each
        passes forward only.
        """
        images = 3 * len(self.examples.held_out) + len(self.examples.train)
        return self._forward * self.examples.measured_views * images

    def _resume(self, checkpoints: Checkpoints) -> None:
        """Go on where the newest whole checkpoint was.

        Raises:
            TuningError: It is of another training; what differs is listed.
        """
        found, problem = read_checkpoint(checkpoints.folder)
        if problem:
            self._watch.warn(problem)
        if found is not None:
            require_same(found.state["identity"], checkpoints.identity, checkpoints.folder)
            self.state.restore(found)
