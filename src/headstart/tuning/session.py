"""What a training decided before its first step, so that going on decides the same."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from headstart.errors import TuningError
from headstart.tuning.setting import Setting

_FILE = "session.json"
_LOCK = ".lock"


@contextmanager
def alone(folder: Path | None) -> Iterator[None]:
    """Keep a folder of checkpoints from a second training as long as this one runs.

    The operating system lets go of the lock when a process ends, however it does.

    Raises:
        TuningError: Another training is using it.
    """
    if folder is None:
        yield
        return
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise TuningError(
            f"Another training of the same data is using '{folder}'. "
            "Wait until it has ended, or give this one another cache."
        ) from None
    except OSError:  # A full or read-only disk: no checkpoint will be written either.
        yield
        return
    try:
        yield
    finally:
        lock.release()


def forget(folder: Path | None) -> None:
    """Remove what an earlier training left, so that nobody goes on from half of each."""
    for path in [folder / _FILE, *folder.glob("round-*"), folder / "final"] if folder else []:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Session:
    """What timing has found, which another run would find otherwise.

    Attributes:
        part: What is trained.
        epochs: For how many epochs at most.
        setting: How steps are taken.
    """

    part: str
    epochs: int
    setting: Setting

    def write(self, folder: Path | None) -> None:
        """Keep it beside the checkpoints; without a folder, or on a full disk, nothing is kept."""
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{_FILE}.partial"
            partial.write_text(json.dumps(asdict(self)))
            partial.replace(folder / _FILE)
        except OSError:
            return

    @classmethod
    def read(cls, folder: Path | None) -> Self | None:
        """Read it back, or give None where there is none or it is damaged."""
        try:
            values: dict[str, Any] = json.loads((folder / _FILE).read_text()) if folder else {}
            return cls(values["part"], values["epochs"], Setting(**values["setting"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
