"""What else happens at each step and epoch of a training: events, progress and checkpoints."""

from collections.abc import Sequence
from typing import Protocol

from headstart.errors import OutputError
from headstart.record import Epoch
from headstart.tuning.events.events import Listener, StepEvent
from headstart.tuning.training import checkpoint
from headstart.tuning.training.checkpoint import Checkpoints, write_checkpoint
from headstart.tuning.training.state import TrainingState
from headstart.watching import Progress, Warn


class Hook(Protocol):
    """Something that happens during a training; it changes nothing in its state."""

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """Act after a step."""
        ...

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """Act after an epoch."""
        ...

    def broken_off(self, state: TrainingState) -> None:
        """Act where training ends within an epoch."""
        ...


class Several:
    """Hooks that act one after the other."""

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

    def broken_off(self, state: TrainingState) -> None:
        """See `Hook.broken_off`."""
        for hook in self._hooks:
            hook.broken_off(state)


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

    def broken_off(self, state: TrainingState) -> None:
        """See `Hook.broken_off`."""


class ShowProgress:
    """Reports images done and images in all."""

    def __init__(self, progress: Progress, images: int, steps: int) -> None:
        self._progress, self._images, self._steps = progress, images, steps

    def step(self, state: TrainingState, event: StepEvent) -> None:
        """See `Hook.step`."""
        self._progress(event.step * self._images, self._steps * self._images)

    def epoch(self, state: TrainingState, event: Epoch) -> None:
        """See `Hook.epoch`."""

    def broken_off(self, state: TrainingState) -> None:
        """See `Hook.broken_off`."""


class SaveCheckpoints:
    """Writes checkpoints; a full disk is reported, and training goes on.

    Args:
        checkpoints: Where.
        steps: Of an epoch; after its last one there is a checkpoint only with its measurements.
        warn: Called with a sentence where one cannot be written.
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

    def broken_off(self, state: TrainingState) -> None:
        """See `Hook.broken_off`."""
        self._save(state)

    def _save(self, state: TrainingState) -> None:
        try:
            packed = state.packed(self._checkpoints.identity)
            write_checkpoint(self._checkpoints.folder, packed)
        except OutputError as error:
            self._warn(f"{error} Training goes on.")
