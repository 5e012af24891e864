"""What a source lists: its images, and how it was understood."""

import os
from dataclasses import dataclass
from pathlib import Path

from headstart.data.manifest import Entry
from headstart.data.paths import is_url
from headstart.errors import DataError


@dataclass(frozen=True)
class Source:
    """The images of a source, before any file is opened.

    Attributes:
        name: A short name for the data, from its path.
        entries: One entry per image, in a fixed order.
        understood: Sentences that say what was taken as image, label, split and group.
        warnings: Sentences that say what was left out, and what may be a mistake.
    """

    name: str
    entries: list[Entry]
    understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def splits(self) -> set[str]:
        """The parts of the given split; empty without one."""
        return {entry.split for entry in self.entries if entry.split and not entry.rejected}

    @property
    def unassigned(self) -> int:
        """The number of images without a part in the given split; 0 without a split."""
        entries = [entry for entry in self.entries if not entry.rejected]
        return sum(entry.split is None for entry in entries) if self.splits else 0


def data_path(data: str | os.PathLike[str]) -> Path:
    """Return the path of data, with the home folder in place of "~".

    Raises:
        DataError: It is not a path, or is empty or a URL.
    """
    if not isinstance(data, (str, os.PathLike)) or not os.fspath(data):
        what = repr(data) if data in (None, "") else f"a value of type {type(data).__name__}"
        raise DataError(f"Data must be the path of a folder, a table or an archive, not {what}.")
    if is_url(str(data)):
        raise DataError(f"Data '{data}' is a URL. Download it first.")
    return Path(data).expanduser()


def data_name(data: str | os.PathLike[str]) -> str:
    """Return a short name for data: a folder's own, or a file's without its suffixes.

    Raises:
        DataError: It is not a path.
    """
    path = data_path(data).resolve()
    return path.name.split(".")[0] if path.is_file() else path.name
