"""What a training tells whoever listens, and the file that it can be read from."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol


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


@dataclass(frozen=True)
class EpochEvent:
    """One epoch is over.

    Attributes:
        step: Steps at its end.
        epoch: Counted from 1.
        train_loss: Mean over its steps.
        val_loss: Of the validation part.
        val_accuracy: Likewise.
        learning_rate: The highest, at its end.
        seconds: That it took.
    """

    step: int
    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class Listener(Protocol):
    """Somebody who is told of each step and epoch."""

    def step(self, event: StepEvent) -> None:
        """Take note of a step."""
        ...

    def epoch(self, event: EpochEvent) -> None:
        """Take note of an epoch."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Stop listening; `finished` tells whether the training came to its end."""
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

    def epoch(self, event: EpochEvent) -> None:
        """See `Listener.epoch`."""
        self._append("epoch", event)

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        self._file.close()

    def _append(self, kind: str, event: StepEvent | EpochEvent) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"event": kind, "time": now} | finite(asdict(event))
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity, which JSON does not have, by null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines after a step and those that are torn, as a whole or not at all."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(b"".join(line for line in lines if _belongs(line, step)))
    partial.replace(path)


def _belongs(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False
