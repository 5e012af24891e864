"""Actions after each step and epoch of a training: events, progress and checkpoints."""

from collections.abc import Sequence
from typing import Protocol

from headstart.errors import OutputError
from headstart.record import Epoch
from headstart.tuning.events.events import Listener, StepEvent
from headstart.tuning.training import checkpoint
from headstart.tuning.training.checkpoint import Checkpoints, write_checkpoint
from headstart.tuning.training.state import TrainingState
from headstart.watching import Progress, Warn, name_step


class Hook(Protocol):
    """An action during a training, which does not change the training state."""

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """Act after a step."""
        ...

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """Act after an epoch."""
        ...

    def interrupted(self, state: TrainingState) -> None:
        """Act when training stops within an epoch."""
        ...


class HookList:
    """Runs several hooks in order."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = hooks

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """See `Hook.step`."""
        for hook in self._hooks:
            hook.step(state, event)

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """See `Hook.epoch`."""
        for hook in self._hooks:
            hook.epoch(state, event)

    def interrupted(self, state: TrainingState) -> None:
        """See `Hook.interrupted`."""
        for hook in self._hooks:
            hook.interrupted(state)


class SendEvents:
    """Sends events to listeners."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """See `Hook.step`."""
        self._listener.step(event)

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """See `Hook.epoch`."""
        self._listener.epoch(event)

    def interrupted(self, state: TrainingState) -> None:
        """See `Hook.interrupted`."""


class ShowProgress:
    """Reports progress in images, and names the step.

    Args:
        progress: Receives it.
        images: Number of images in a step.
        steps: Number of steps in this training.
        name: The name of this training, such as "round 1 of 3".
    """

    def __init__(self, progress: Progress, images: int, steps: int, name: str) -> None:
        self._progress, self._images, self._steps, self._name = progress, images, steps, name

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """See `Hook.step`."""
        name_step(self._progress, f"{self._name}, step {event.step} of {self._steps}")
        self._progress(event.step * self._images, self._steps * self._images)

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """See `Hook.epoch`."""

    def interrupted(self, state: TrainingState) -> None:
        """See `Hook.interrupted`."""


class SaveCheckpoints:
    """Writes checkpoints; if one cannot be written, warns and continues.

    Args:
        checkpoints: Where to write checkpoints.
        steps: Steps per epoch; after the last step, the checkpoint is written after the evaluation.
        warn: Called if a checkpoint cannot be written.
    """

    def __init__(self, checkpoints: Checkpoints, steps: int, warn: Warn) -> None:
        self._checkpoints, self._steps, self._warn = checkpoints, steps, warn

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """See `Hook.step`."""
        if event.step % checkpoint.SAVE_EVERY == 0 and event.step % self._steps:
            self._save(state)

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """See `Hook.epoch`."""
        self._save(state)

    def interrupted(self, state: TrainingState) -> None:
        """See `Hook.interrupted`."""
        self._save(state)

    def _save(self, state: TrainingState) -> None:
        try:
            packed = state.packed(self._checkpoints.identity)
            write_checkpoint(self._checkpoints.folder, packed)
        except OutputError as error:
            self._warn(f"{error} Training continues.")
