"""Decisions before the first step of a training, saved so that a resumed training reuses them."""

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
    """Decisions based on timing, which may differ between runs.

    Attributes:
        part: The part that is trained.
        epochs: Maximum number of epochs.
        setting: The setting for training steps.
    """

    part: str
    epochs: int
    setting: Setting

    def write(self, folder: Path | None) -> None:
        """Save it beside the checkpoints; do nothing without a folder or on a full disk."""
        if folder is not None:
            with suppress(OSError):
                write_atomically(folder / _FILE, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path | None) -> Self | None:
        """Load it; return None if it is missing or damaged."""
        try:
            values = json.loads((folder / _FILE).read_text()) if folder else {}
            return cls(values["part"], values["epochs"], Setting(**values["setting"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
