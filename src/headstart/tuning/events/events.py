"""Events of a training, and the file that they are written to."""

import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from headstart.files import write_atomically
from headstart.record import Epoch


@dataclass(frozen=True)
class StepEvent:
    """A training step.

    Attributes:
        step: Number of the step in the training, from 1.
        epoch: Number of the epoch, from 1.
        loss: Mean loss of the batch.
        learning_rate: The highest of all layers.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float


class Listener(Protocol):
    """Receives the events of a training."""

    def step(self, event: StepEvent) -> None:
        """Receive a step."""
        ...

    def epoch(self, event: Epoch) -> None:
        """Receive an epoch; values that were not measured are NaN."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Stop listening; `finished` is false if the training was interrupted."""
        ...


class EventFile:
    """Appends events to a file, one JSON object per line.

    A resumed training repeats the steps after its checkpoint. Their lines are dropped first, as is
    an incomplete last line, so that no step is in the file twice.
    """

    def __init__(self, path: Path, *, resumed_step: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_lines_after(path, resumed_step)
        self._file = path.open("a", encoding="utf-8")

    def step(self, event: StepEvent) -> None:
        """See `Listener.step`."""
        self._append("step", event)

    def epoch(self, event: Epoch) -> None:
        """See `Listener.epoch`."""
        self._append("epoch", event)

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        self._file.close()

    def _append(self, kind: str, event: StepEvent | Epoch) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        values = {name: _finite(value) for name, value in asdict(event).items()}
        line = {"event": kind, "time": now} | values
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()


def recorded(epoch: Epoch) -> Epoch:
    """Return an epoch for the record, with None instead of NaN for values not measured."""
    return replace(
        epoch,
        train_loss=_finite(epoch.train_loss),
        val_loss=_finite(epoch.val_loss),
        val_accuracy=_finite(epoch.val_accuracy),
    )


def _finite(value: float | None) -> float | None:
    """Replace NaN and infinity, which JSON does not support, with None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _drop_lines_after(path: Path, step: int) -> None:
    """Drop the lines after a step and incomplete lines, atomically."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        write_atomically(path, b"".join(line for line in lines if _is_kept(line, step)))


def _is_kept(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False
