"""Runs that are not finished: a file in the folder says what was asked for.

Checkpoints are in the cache. The file is how a resumed training finds the folder of its run.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.data.paths import data_path
from headstart.files import write_json
from headstart.options import TrainOptions

UNFINISHED = "unfinished.json"
"""The name of that file."""

# Options that may differ when a training is resumed.
_FREE = ("out", "overwrite", "resume", "minutes", "log", "store_gb")


@dataclass(frozen=True)
class Request:
    """What a training was asked to do.

    Attributes:
        data: Absolute path of the data.
        options: The options that must be the same when it is resumed.
    """

    data: str
    options: Mapping[str, JsonValue]

    @classmethod
    def of(cls, data: str | os.PathLike[str], options: TrainOptions) -> Self:
        """Return the request of a training."""
        values = options.model_dump(mode="json", exclude=set(_FREE))
        return cls(str(data_path(data).resolve()), values)

    @classmethod
    def read(cls, run: Path) -> Self | None:
        """Return the request of the unfinished run in a folder; None if there is none."""
        try:
            content = (run / UNFINISHED).read_bytes()
            return TypeAdapter(cls).validate_json(content)
        except (OSError, ValidationError):
            return None

    def write(self, folder: Path) -> None:
        """Write the request into a folder.

        Raises:
            OSError: It cannot be written.
        """
        write_json(folder / UNFINISHED, asdict(self))

    def differences(self, other: Self) -> str:
        """List the differences of another request from this one; "" if there are none."""
        ours, theirs = ({"data": one.data, **one.options} for one in (self, other))
        return "; ".join(
            f"{name} was {json.dumps(ours.get(name))}, is {json.dumps(theirs.get(name))}"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        )


def find_unfinished(request: Request, parent: Path) -> Path | None:
    """Return the folder of the latest unfinished run of a request; None if there is none."""
    marks = sorted(parent.glob(f"*/{UNFINISHED}"), key=lambda path: path.stat().st_mtime)
    same = [path.parent for path in marks if Request.read(path.parent) == request]
    return same[-1] if same else None
