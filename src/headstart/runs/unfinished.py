"""Runs that are not finished: a file in the folder says what was asked for.

Checkpoints are in the cache. The file is how a resumed training finds the folder of its run; a list
beside the checkpoints has the runs of this data, wherever they are.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.cache import cache_folder
from headstart.data.paths import data_place
from headstart.files import remove, write_json
from headstart.options import TrainOptions

UNFINISHED = "unfinished.json"
"""The name of that file."""

TUNING = "tuning"
"""The folder of the cache that has the checkpoints of all data."""

_PLACES, _DIGITS = "runs.json", 8

# Options that may differ when a training is resumed.
_FREE = ("out", "overwrite", "resume", "minutes", "log", "store_gb", "cluster")


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
        return cls(data_place(data), values)

    @classmethod
    def read(cls, run: Path) -> Self | None:
        """Return the request of the unfinished run in a folder; None if there is none."""
        try:
            content = (run / UNFINISHED).read_bytes()
            return TypeAdapter(cls).validate_json(content)
        except (OSError, ValidationError):
            return None

    def checkpoints(self, name: str) -> Path:
        """Return the folder for the checkpoints of trainings on this data.

        Args:
            name: A short name of the data; "*" for a pattern that matches any.
        """
        cache = self.options.get("cache")
        folder = cache_folder(cache if isinstance(cache, str) else None) / TUNING
        return folder / f"{name}-{hashlib.sha256(self.data.encode()).hexdigest()[:_DIGITS]}"

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
    """Return the folder of the latest unfinished run of a request; None if there is none.

    Args:
        request: What is to be resumed.
        parent: The usual folder of runs; others are listed beside the checkpoints.
    """
    lists = request.checkpoints("*")
    listed = [place for path in lists.parent.glob(lists.name) for place in _listed(path)]
    known = {place.resolve(): place for place in map(_from_here, listed)}
    known |= {path.parent.resolve(): path.parent for path in parent.glob(f"*/{UNFINISHED}")}
    same = [place for place in known.values() if Request.read(place) == request]
    return max(same, key=lambda place: (place / UNFINISHED).stat().st_mtime, default=None)


def list_unfinished(checkpoints: Path, *runs: Path) -> None:
    """Add runs to the list beside the checkpoints, and remove those that are finished."""
    places = {*_listed(checkpoints), *(run.resolve() for run in runs)}
    unfinished = sorted(str(place) for place in places if Request.read(place))
    with suppress(OSError):  # Without it, only --resume without --out fails to find the run.
        if unfinished:
            checkpoints.mkdir(parents=True, exist_ok=True)
            write_json(checkpoints / _PLACES, unfinished)
        else:
            remove(checkpoints / _PLACES)


def _listed(checkpoints: Path) -> list[Path]:
    """Return the folders in the list; it is empty if it is missing or damaged."""
    try:
        content = (checkpoints / _PLACES).read_bytes()
        return TypeAdapter(list[Path]).validate_json(content)
    except (OSError, ValidationError):
        return []


def _from_here(place: Path) -> Path:
    """Return a path relative to the current folder if it is below that."""
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place
