"""What a source lists: its images, and how it was understood."""

from dataclasses import dataclass
from pathlib import Path

from headstart.data.manifest import Entry


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


def data_name(data: str | Path) -> str:
    """Return a short name for data: a folder's own, or a file's without its suffixes."""
    path = Path(data).expanduser().resolve()
    return path.name.split(".")[0] if path.is_file() else path.name
