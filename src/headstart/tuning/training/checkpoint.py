"""Checkpoints, from which a training can be resumed: written atomically and verified."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from headstart.errors import OutputError, TuningError, reason_of
from headstart.files import digest, file_sha256, write_atomically

SAVE_EVERY = 200
"""Steps between checkpoints, in addition to those at the end of each epoch."""

NEWEST = "checkpoint.json"
"""File name of the state of the newest checkpoint."""

_PREVIOUS = "checkpoint-before.json"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
        tensors: Weights, statistics, optimiser state and best weights, by name. Random numbers
            are seeded by the step.
        state: JSON values: position, identity and history of the training.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """Where a training saves its checkpoints.

    Attributes:
        folder: Folder of the training.
        identity: Everything that must be equal for a training to be resumed from a checkpoint.
        resume: Whether to resume from the newest checkpoint.
    """

    folder: Path
    identity: Mapping[str, object]
    resume: bool = False


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and keep the previous one as a backup.

    Raises:
        OutputError: It cannot be written; earlier checkpoints still exist.
    """
    newest, previous = folder / NEWEST, folder / _PREVIOUS
    try:
        last = read_state(newest)
        number = int((last or read_state(previous) or {"number": -1})["number"]) + 1
        tensors = folder / f"checkpoint-{number % 3}.safetensors"
        write_atomically(tensors, save(checkpoint.tensors))
        described = checkpoint.state | {
            "number": number,
            "tensors": tensors.name,
            "sha256": file_sha256(tensors),
        }
        if last:  # A damaged checkpoint must not replace the previous one.
            write_atomically(previous, newest.read_bytes())
        write_atomically(newest, json.dumps(described | {"digest": digest(described)}))
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise OutputError(f"Checkpoint in '{folder}' cannot be written: {reason}.") from None


def read_checkpoint(folder: Path) -> tuple[Checkpoint | None, str | None]:
    """Read the newest intact checkpoint.

    Returns:
        The checkpoint, or None if there is none; and a warning if one was damaged.
    """
    present = [path for name in (NEWEST, _PREVIOUS) if (path := folder / name).exists()]
    for number, path in enumerate(present):
        state = read_state(path)
        try:
            tensors = folder / state["tensors"] if state else None
            if state and tensors and file_sha256(tensors) == state["sha256"]:
                problem = f"The newest checkpoint in '{folder}' is damaged; using the previous one."
                return Checkpoint(load_file(tensors), state), problem if number else None
        except (OSError, SafetensorError):
            continue
    if present:
        return None, f"The checkpoints in '{folder}' are damaged; training starts from scratch."
    return None, None


def check_same_training(
    theirs: Mapping[str, object], ours: Mapping[str, object], folder: Path
) -> None:
    """Check that a checkpoint belongs to this training.

    Raises:
        TuningError: It does not; the message lists the differences.
    """
    if listed := differences(theirs, json.loads(json.dumps(ours))):
        raise TuningError(
            f"'{folder}' is a checkpoint of another training: {listed}. "
            "Use the same options, or start from scratch without --resume."
        )


def differences(theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    """List the differences between two trainings; "" if there are none."""
    differing = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    return "; ".join(f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}" for key in differing)


def read_state(path: Path) -> dict[str, Any] | None:
    """Read the state of a checkpoint; return None if it is missing or damaged."""
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        return state if state.pop("digest") == digest(state) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def packed_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors by name, without learning rates."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load an optimiser's state from tensors that `packed_optimiser` returned."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, number, field = name.split(".")
            parameter = parameters[int(number)]
            if value.shape == parameter.shape:  # The fused optimiser needs the parameter's layout.
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(number), {})[field] = value
    current = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": current["param_groups"]})
