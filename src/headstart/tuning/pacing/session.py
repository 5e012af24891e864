"""What a training decided before its first step, so that a resumed one decides the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from headstart.errors import TuningError
from headstart.files import Locked, locked, remove, write_whole
from headstart.tuning.pacing.timing import Setting

_FILE = "session.json"
_LOCK = ".lock"


@contextmanager
def exclusive(folder: Path | None) -> Iterator[None]:
    """Keep a folder of checkpoints from a second training for as long as this one runs.

    Raises:
        TuningError: Another training is using it.
    """
    if folder is None:
        yield
        return
    try:
        with locked(folder / _LOCK):
            yield
    except Locked:
        raise TuningError(
            f"Another training of the same data is using '{folder}'. "
            "Wait until it has ended, or give this one another cache."
        ) from None


def forget(folder: Path | None) -> None:
    """Remove what an earlier training left, so that a new one is not resumed from half of each."""
    for path in [folder / _FILE, *folder.glob("round-*"), folder / "final"] if folder else []:
        remove(path)


@dataclass(frozen=True)
class Session:
    """What timing has found; another run would find something else.

    Attributes:
        part: What is trained.
        epochs: At most.
        setting: How steps are taken.
    """

    part: str
    epochs: int
    setting: Setting

    def write(self, folder: Path | None) -> None:
        """Keep it beside the checkpoints; without a folder, or on a full disk, nothing is kept."""
        if folder is not None:
            with suppress(OSError):
                write_whole(folder / _FILE, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path | None) -> Self | None:
        """Read it back, or return None where there is none or it is damaged."""
        try:
            values = json.loads((folder / _FILE).read_text()) if folder else {}
            return cls(values["part"], values["epochs"], Setting(**values["setting"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
