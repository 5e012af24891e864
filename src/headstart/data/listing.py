"""What a source lists: its images, and how it was understood."""

from dataclasses import dataclass

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

    @property
    def splits(self) -> set[str]:
        """The parts of the given split; empty without one."""
        return {entry.split for entry in self.entries if entry.split and not entry.rejected}

    @property
    def unassigned(self) -> int:
        """The number of images without a part in the given split; 0 without a split."""
        entries = [entry for entry in self.entries if not entry.rejected]
        return sum(entry.split is None for entry in entries) if self.splits else 0
