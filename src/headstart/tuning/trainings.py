"""The trainings that a folder keeps, each in a place that follows from its images and options.

They are in FOLDER/KEY/1, FOLDER/KEY/2 and so on. One KEY has the same images and options; a second
number is taken where an earlier training still has checkpoints. Old ones are never removed for it.
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

_ABOUT, _LOCK = "training.json", ".lock"
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Training:
    """A training that has checkpoints.

    Attributes:
        folder: Of it.
        checkpoint: The one written last.
        about: What was written when it began: data, created, options, and finished if it is.
    """

    folder: Path
    checkpoint: Path
    about: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the training of a folder, or None where there are no checkpoints."""
        checkpoints = sorted(folder.glob(f"*/{NEWEST}"), key=_written)
        return cls(folder, checkpoints[-1], _about(folder)) if checkpoints else None

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return "finished" in self.about

    def __str__(self) -> str:
        """Say how far it got, and when that was."""
        written = datetime.fromtimestamp(_written(self.checkpoint)).astimezone()
        return f"{self._progress}, last written {written:%Y-%m-%d %H:%M}"

    @property
    def _progress(self) -> str:
        if self.finished:
            return "finished"
        state = read_state(self.checkpoint)
        if state is None:
            return "its newest checkpoint is damaged"
        epochs, of = len(state["history"]), state["identity"]["epochs"]
        return f"{epochs} of {of} epochs and step {state['step']} of {self.checkpoint.parent.name}"


@contextmanager
def own_folder(
    folder: Path | None, options: Mapping[str, object], *, resume: bool, warn: Warn
) -> Iterator[Path | None]:
    """Yield the folder of one training, which no other one uses for as long as the block lasts.

    Args:
        folder: That keeps trainings, or None to keep nothing.
        options: What the training's result depends on, the images included.
        resume: Whether to go on with the training of the same options that was written last.
        warn: Called with a sentence if there is none, or if there is one and it is left alone.

    Raises:
        TuningError: Such a training is running; or there are only trainings of other options to
            resume, which are listed.
    """
    if folder is None:
        yield None
        return
    plain: dict[str, Any] = json.loads(json.dumps(options))
    same = folder / digest(plain)[:_KEY_DIGITS]
    if resume and not _newest_first(same):
        _refuse_others(folder, plain)
    try:
        with locked(same / _LOCK):
            yield _chosen(same, plain, resume=resume, warn=warn)
    except Locked:
        raise TuningError(
            f"Another training of the same data with the same options is using '{same}'. "
            "Wait until it has ended, or give this one another cache."
        ) from None


def finish(folder: Path | None) -> None:
    """Note that a training came to its end, and forget finished ones of which it is a repetition.

    Its own checkpoints stay until `forget_finished`, so that resuming gives its result at once.
    """
    if folder is None:
        return
    _write(folder, _about(folder) | {"finished": _now()})
    for other in _newest_first(folder.parent):
        if other.finished and other.folder != folder:
            _forget(other.folder)


def forget_finished(folder: Path | None) -> None:
    """Remove a training's checkpoints if it came to its end; call it once the result is safe."""
    if folder and "finished" in _about(folder):
        with suppress(Locked), locked(folder.parent / _LOCK):
            _forget(folder)


def _chosen(same: Path, options: dict[str, Any], *, resume: bool, warn: Warn) -> Path:
    """Return the folder to go on in, or a new one beside those that have checkpoints."""
    found = _newest_first(same)
    if resume and found:
        return found[0].folder
    if resume:
        warn(f"There is no training in '{same.parent}' to go on with, so it starts anew.")
    elif found:
        warn(
            f"An earlier training with the same data and options is in '{found[0].folder}' "
            f"({found[0]}). It stays there, and this one starts anew; --resume goes on with it."
        )
    numbers = [0]
    for one in same.glob("*/"):
        if Training.read(one) is None:  # It was cut off before its first checkpoint.
            _forget(one)
        if one.exists() and one.name.isdigit():
            numbers.append(int(one.name))
    folder = same / str(max(numbers) + 1)
    _write(folder, {"data": same.parent.name, "created": _now(), "options": options})
    return folder


def _refuse_others(folder: Path, options: dict[str, Any]) -> None:
    """Refuse to start anew where only trainings of other options can be resumed."""
    found = [one for same in folder.glob("*/") for one in _newest_first(same)]
    described = [one for one in found if "options" in one.about]
    if described:
        listed = "".join(
            f"\n- {differences(one.about['options'], options)} ({one})"
            for one in sorted(described, key=_age)
        )
        raise TuningError(
            f"No training in '{folder}' has these data and options. "
            f"There is to go on with:{listed}\n"
            "Give the options of one of them, or start anew without --resume."
        )


def _newest_first(same: Path) -> list[Training]:
    """Return the trainings of one key that have checkpoints."""
    found = [one for folder in same.glob("*/") if (one := Training.read(folder))]
    return sorted(found, key=_age)


def _age(training: Training) -> float:
    return -_written(training.checkpoint)


def _written(path: Path) -> float:
    """Return when a file was written; 0 if it is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _about(folder: Path) -> dict[str, Any]:
    """Read what was written about a training; nothing where that is missing or damaged."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _write(folder: Path, about: dict[str, Any]) -> None:
    """Write about a training; on a full disk it goes on without."""
    with suppress(OSError):
        write_json(folder / _ABOUT, about)


def _forget(folder: Path) -> None:
    """Remove a training's files; the folders that TensorBoard reads stay."""
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        if path.is_file():
            remove(path)
    for path in [*folder.glob("*/"), folder]:
        with suppress(OSError):
            path.rmdir()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
