"""What a source lists: its images, and how it was understood."""

from dataclasses import dataclass
from typing import Literal

from headstart.data.manifest import Entry


@dataclass(frozen=True)
class Source:
    """The images of a source, before any file is opened.

    Attributes:
        name: A short name for the data, from its path.
        entries: One entry per image, in a fixed order.
        understood: Sentences that say what was taken as image, label, split and group.
        warnings: Sentences that say what was left out, and what may be a mistake.
        several: Where the labels were taken from if each image may have several, which its entry
            has as `labels.write_labels` writes them; None if each image has one label.
        copies_are_one: Whether copies of an image are one image that has the labels of all.
        guessed_group: The column of `Entry.guessed_group`; None without one.
        in_folders: Whether the labels are folders.
        boxes: Where the boxes were taken from if the labels are boxes, which an entry has as
            `boxes.labels.write_boxes` writes them; else None.
    """

    name: str
    entries: list[Entry]
    understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    several: str | None = None
    copies_are_one: bool = False
    guessed_group: str | None = None
    in_folders: bool = False
    boxes: str | None = None

    @property
    def task(self) -> Literal["single", "multi", "boxes"]:
        """The name of the task that the labels are for."""
        if self.boxes:
            return "boxes"
        return "multi" if self.several else "single"

    @property
    def splits(self) -> set[str]:
        """The parts of the given split; empty without one."""
        return {entry.split for entry in self.entries if entry.split and not entry.rejected}

    @property
    def unassigned(self) -> int:
        """The number of images without a part in the given split; 0 without a split."""
        entries = [entry for entry in self.entries if not entry.rejected]
        return sum(entry.split is None for entry in entries) if self.splits else 0
