"""What a training decided before its first step, so that a resumed one decides the same."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from headstart.files import write_atomically
from headstart.tuning.pacing.timing import Setting

_FILE = "session.json"


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
                write_atomically(folder / _FILE, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path | None) -> Self | None:
        """Read it back, or return None where there is none or it is damaged."""
        try:
            values = json.loads((folder / _FILE).read_text()) if folder else {}
            return cls(values["part"], values["epochs"], Setting(**values["setting"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
