"""Folders of trainings, found by their images and options.

Trainings are in FOLDER/KEY/1, FOLDER/KEY/2 and so on. The key is a hash of the images and options;
a new number is used if an earlier training still has checkpoints, which are never overwritten.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from headstart.errors import TuningError
from headstart.files import Locked, digest, locked, remove, write_json
from headstart.tuning.training.checkpoint import NEWEST, differences, read_state
from headstart.watching import Warn

FINAL = "final"
"""The name of the folder of the training on all images."""

_DESCRIPTION_FILE, _LOCK = "training.json", ".lock"
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Training:
    """A training with checkpoints.

    Attributes:
        folder: Folder of the training.
        checkpoint: File of the newest checkpoint.
        description: Content of the description file: data, created, options and, once the training
            is finished, finished.
    """

    folder: Path
    checkpoint: Path
    description: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the training in a folder, or None if it has no checkpoints."""
        checkpoints = sorted(folder.glob(f"*/{NEWEST}"), key=_modified)
        return cls(folder, checkpoints[-1], _read_description(folder)) if checkpoints else None

    @property
    def finished(self) -> bool:
        """Whether the training is finished."""
        return "finished" in self.description

    def __str__(self) -> str:
        """Describe the progress and the time of the last checkpoint."""
        written = datetime.fromtimestamp(_modified(self.checkpoint)).astimezone()
        return f"{self._progress}, last written {written:%Y-%m-%d %H:%M}"

    @property
    def _progress(self) -> str:
        if self.finished:
            return "finished"
        state = read_state(self.checkpoint)
        if state is None:
            return "its newest checkpoint is damaged"
        epochs, total = len(state["history"]), state["identity"]["epochs"]
        return f"{epochs} of {total} epochs and step {state['step']} of {self._round}"

    @property
    def place(self) -> str:
        """The place where it is resumed, such as "round 2, step 10"."""
        state = read_state(self.checkpoint)
        return f"{self._round}, step {state['step']}" if state else f"the start of {self._round}"

    @property
    def _round(self) -> str:
        return round_name(self.checkpoint.parent.name)


def round_name(folder: str) -> str:
    """Return the name of a round for the user, from that of its folder."""
    number = folder.removeprefix("round-")
    return f"round {int(number) + 1}" if number.isdecimal() else f"the {folder} training"


@contextmanager
def training_folder(
    folder: Path | None, options: Mapping[str, object], *, resume: bool, warn: Warn
) -> Iterator[Path | None]:
    """Yield the folder of a training, locked for the duration of the block.

    Args:
        folder: Folder of all trainings, or None to save nothing.
        options: Everything the result depends on, the images included.
        resume: Whether to resume the latest training with the same options.
        warn: Called if there is no training to resume, or if an earlier one is not resumed.

    Raises:
        TuningError: The same training is running, or only trainings with other options can be
            resumed, which are listed.
    """
    if folder is None:
        yield None
        return
    plain: dict[str, Any] = json.loads(json.dumps(options))
    key_folder = folder / digest(plain)[:_KEY_DIGITS]
    if resume and not _newest_first(key_folder):
        _refuse_resuming(folder, plain)
    try:
        with locked(key_folder / _LOCK):
            yield _choose_folder(key_folder, plain, resume=resume, warn=warn)
    except Locked:
        raise TuningError(
            f"Another training of the same data with the same options is using '{key_folder}'. "
            "Wait until it has finished, or use a different cache folder."
        ) from None


def mark_finished(folder: Path | None) -> None:
    """Mark a training as finished, and delete earlier finished trainings with the same options.

    Its own checkpoints are kept until `delete_finished`, so that resuming returns its result at
    once.
    """
    if folder is None:
        return
    _write_description(folder, _read_description(folder) | {"finished": _now()})
    for other in _newest_first(folder.parent):
        if other.finished and other.folder != folder:
            _delete_files(other.folder)


def delete_finished(folder: Path | None) -> None:
    """Delete the checkpoints of a finished training; call this once its result is saved."""
    if folder and "finished" in _read_description(folder):
        with suppress(Locked), locked(folder.parent / _LOCK):
            _delete_files(folder)


def is_finished(folder: Path | None) -> bool:
    """Return whether nothing is left to resume in the folder of a training."""
    training = Training.read(folder) if folder else None
    return training is None or training.finished


def saved_since(folder: Path, when: float) -> bool:
    """Return whether any training in a folder has saved a checkpoint since a time."""
    return any(_modified(path) >= when for path in folder.glob(f"*/*/*/{NEWEST}"))


def _choose_folder(key_folder: Path, options: dict[str, Any], *, resume: bool, warn: Warn) -> Path:
    """Return the folder of the training to resume, or a new folder."""
    found = _newest_first(key_folder)
    if resume and found:
        return found[0].folder
    if resume:
        warn("There is no training of this data to resume; starting from scratch.")
    elif found:
        warn(
            f"An earlier training with the same data and options is in '{found[0].folder}' "
            f"({found[0]}). It is kept, and a new training starts; use --resume to continue it."
        )
    numbers = [0]
    for earlier in key_folder.glob("*/"):
        if Training.read(earlier) is None:  # It was cut off before its first checkpoint.
            _delete_files(earlier)
        if earlier.exists() and earlier.name.isdigit():
            numbers.append(int(earlier.name))
    folder = key_folder / str(max(numbers) + 1)
    _write_description(
        folder, {"data": key_folder.parent.name, "created": _now(), "options": options}
    )
    return folder


def _refuse_resuming(folder: Path, options: dict[str, Any]) -> None:
    """Raise an error if only trainings with other options can be resumed."""
    found = [training for key_folder in folder.glob("*/") for training in _newest_first(key_folder)]
    described = [training for training in found if "options" in training.description]
    if described:
        listed = "".join(
            f"\n- {differences(training.description['options'], options)} ({training})"
            for training in sorted(described, key=_age)
        )
        raise TuningError(
            f"No training in '{folder}' has these data and options. "
            f"These can be resumed:{listed}\n"
            "Use the same options as one of them, or start from scratch without --resume."
        )


def _newest_first(key_folder: Path) -> list[Training]:
    """Return the trainings of a key that have checkpoints, newest first."""
    found = [training for folder in key_folder.glob("*/") if (training := Training.read(folder))]
    return sorted(found, key=_age)


def _age(training: Training) -> float:
    return -_modified(training.checkpoint)


def _modified(path: Path) -> float:
    """Return the modification time of a file; 0 if it no longer exists."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read_description(folder: Path) -> dict[str, Any]:
    """Read the description of a training; return {} if it is missing or damaged."""
    try:
        description = json.loads((folder / _DESCRIPTION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def _write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write the description of a training; ignore a full disk."""
    with suppress(OSError):
        write_json(folder / _DESCRIPTION_FILE, description)


def _delete_files(folder: Path) -> None:
    """Delete a training's files, but not TensorBoard's folders."""
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        if path.is_file():
            remove(path)
    for path in [*folder.glob("*/"), folder]:
        with suppress(OSError):
            path.rmdir()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
