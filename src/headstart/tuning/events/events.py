"""What a training reports as it goes, and the file that it can be read from."""

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
    """One step was taken.

    Attributes:
        step: Steps since the start of the training, this one among them.
        epoch: Counted from 1.
        loss: Of the step's images.
        learning_rate: The highest.
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
        """Receive an epoch; what was not measured is NaN."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Stop listening; `finished` is false where the training was broken off."""
        ...


class EventFile:
    """Appends one JSON object a line.

    A resumed training takes the steps after its checkpoint again. Their lines are dropped first,
    as is a last line that a kill has torn, so that no step is there twice.
    """

    def __init__(self, path: Path, *, resumed_step: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _keep_until(path, resumed_step)
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
        values = {name: _finite(one) for name, one in asdict(event).items()}
        line = {"event": kind, "time": now} | values
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()


def recorded(epoch: Epoch) -> Epoch:
    """Return an epoch for the record, in which what was not measured is None instead of NaN."""
    return replace(
        epoch,
        train_loss=_finite(epoch.train_loss),
        val_loss=_finite(epoch.val_loss),
        val_accuracy=_finite(epoch.val_accuracy),
    )


def _finite(value: float | None) -> float | None:
    """Replace NaN and infinity, which JSON does not have, by None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines after a step and those that are torn, as a whole or not at all."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        write_atomically(path, b"".join(line for line in lines if _belongs(line, step)))


def _belongs(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False
