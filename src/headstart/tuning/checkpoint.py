"""What a training needs to go on where it was: written as a whole or not at all, and checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from headstart.data.hashing import file_sha256
from headstart.errors import OutputError, TuningError

_NAMES = ("checkpoint", "checkpoint-before")


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


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one, which stays beside it.

    Raises:
        OutputError: It cannot be written; the ones before are still there.
    """
    newest, before = (folder / f"{name}.json" for name in _NAMES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = save(checkpoint.tensors)
        number = int(json.loads(newest.read_text())["number"]) + 1 if newest.exists() else 0
        tensors = folder / f"checkpoint-{number % 3}.safetensors"
        tensors.write_bytes(content)
        described = checkpoint.state | {
            "number": number,
            "tensors": tensors.name,
            "sha256": file_sha256(tensors),
        }
        partial = folder / "checkpoint.partial"
        partial.write_text(json.dumps(described))
        if newest.exists():
            before.unlink(missing_ok=True)
            before.hardlink_to(newest)
        partial.replace(newest)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"Checkpoint in '{folder}' cannot be written: {reason}.") from None


def read_checkpoint(folder: Path) -> tuple[Checkpoint | None, str | None]:
    """Read the newest checkpoint that is whole.

    Returns:
        The checkpoint, or None without one; and a sentence if the newest was damaged.
    """
    problem = None
    for name in _NAMES:
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            state = json.loads(path.read_text())
            tensors = folder / state["tensors"]
            if file_sha256(tensors) == state["sha256"]:
                return Checkpoint(load_file(tensors), state), problem
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            pass
        problem = f"The checkpoint '{path}' is damaged; the one before it is used."
    return None, problem


def require_same(theirs: dict[str, Any], ours: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with another training.

    Raises:
        TuningError: What differs is listed.
    """
    ours = json.loads(json.dumps(ours))
    differing = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    if differing:
        listed = "; ".join(
            f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}" for key in differing
        )
        raise TuningError(
            f"'{folder}' is a checkpoint of another training: {listed}. "
            "Give the same options, or start anew without --resume."
        )


def packed_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give an optimiser's state as tensors by name; learning rates follow from the step."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `packed_optimiser`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, number, field = name.split(".")
            state.setdefault(int(number), {})[field] = value
    whole = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
