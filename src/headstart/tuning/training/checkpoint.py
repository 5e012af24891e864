"""What a training needs to be resumed: written as a whole or not at all, and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from headstart.errors import OutputError, TuningError
from headstart.files import digest, file_sha256, write_atomically

SAVE_EVERY = 200
"""Steps between two checkpoints, besides those at the end of each epoch."""

NEWEST = "checkpoint.json"
"""The file of the newest checkpoint that says where the training is."""

_BEFORE = "checkpoint-before.json"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
        tensors: Weights, statistics, optimiser and best weights, by name; random numbers
            follow from the step.
        state: Plain JSON values: where it is, what it is of, and what was measured so far.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its checkpoints.

    Attributes:
        folder: Of this training.
        identity: What a checkpoint must have in common with the training that is resumed from it.
        resume: Whether to go on from the newest one.
    """

    folder: Path
    identity: Mapping[str, object]
    resume: bool = False


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one, which stays beside it.

    Raises:
        OutputError: It cannot be written; the ones before are still there.
    """
    newest, before = folder / NEWEST, folder / _BEFORE
    try:
        last = read_state(newest)
        number = int((last or read_state(before) or {"number": -1})["number"]) + 1
        tensors = folder / f"checkpoint-{number % 3}.safetensors"
        write_atomically(tensors, save(checkpoint.tensors))
        described = checkpoint.state | {
            "number": number,
            "tensors": tensors.name,
            "sha256": file_sha256(tensors),
        }
        if last:  # What is damaged must not take the place of the one before.
            write_atomically(before, newest.read_bytes())
        write_atomically(newest, json.dumps(described | {"digest": digest(described)}))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"Checkpoint in '{folder}' cannot be written: {reason}.") from None


def read_checkpoint(folder: Path) -> tuple[Checkpoint | None, str | None]:
    """Read the newest checkpoint that is whole.

    Returns:
        The checkpoint, or None without one; and a sentence if one was damaged.
    """
    present = [path for name in (NEWEST, _BEFORE) if (path := folder / name).exists()]
    for number, path in enumerate(present):
        state = read_state(path)
        try:
            tensors = folder / state["tensors"] if state else None
            if state and tensors and file_sha256(tensors) == state["sha256"]:
                problem = f"The newest checkpoint in '{folder}' is damaged; the one before is used."
                return Checkpoint(load_file(tensors), state), problem if number else None
        except (OSError, SafetensorError):
            continue
    if present:
        return None, f"The checkpoints in '{folder}' are damaged, so training starts anew."
    return None, None


def require_same(theirs: Mapping[str, object], ours: Mapping[str, object], folder: Path) -> None:
    """Refuse to resume another training.

    Raises:
        TuningError: What differs is listed.
    """
    if listed := differences(theirs, json.loads(json.dumps(ours))):
        raise TuningError(
            f"'{folder}' is a checkpoint of another training: {listed}. "
            "Give the same options, or start anew without --resume."
        )


def differences(theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    """List what differs between two trainings; "" if nothing does."""
    differing = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    return "; ".join(f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}" for key in differing)


def read_state(path: Path) -> dict[str, Any] | None:
    """Read what is written beside the tensors, or return None where it is missing or damaged."""
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        return state if state.pop("digest") == digest(state) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def packed_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors by name; learning rates follow from the step."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `packed_optimiser`."""
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, number, field = name.split(".")
            like = parameters[int(number)]
            if value.shape == like.shape:  # In the parameter's layout: a fused step relies on it.
                value = torch.empty_like(like).copy_(value)
            state.setdefault(int(number), {})[field] = value
    whole = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
