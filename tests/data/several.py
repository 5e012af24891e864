"""A task with several labels per image, as far as opening and splitting data need it."""

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

import numpy as np

from headstart.arrays import Rows, Targets
from headstart.data.labels import read_labels
from headstart.data.splits import rarest_label
from headstart.tasks.single import Single


class Several(Single):
    """Any number of labels per image."""

    name: ClassVar[str] = "multi"

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the names of all labels."""
        return tuple(sorted({name for text in labels for name in read_labels(text)}))

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Return 1 present, 0 absent and -1 unknown, (images, classes)."""
        number = {False: 0, True: 1, None: -1}
        rows = [read_labels(text) for text in labels]
        found = [[number[row.get(name, False)] for name in classes] for row in rows]
        return np.array(found, dtype=np.int64).reshape(len(rows), len(classes))

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return which label is present in one copy and absent in another."""
        copies = [read_labels(text) for text in labels]
        for name in self.classes(labels):
            if {True, False} <= {copy.get(name, False) for copy in copies}:
                return f"copies of the image disagree about '{name}'"
        return None

    def strata(self, targets: Targets) -> Rows:
        """Return the rarest label of each image."""
        return rarest_label(targets)

    def present(self, targets: Targets) -> set[int]:
        """Return the labels that some image has."""
        return set(np.flatnonzero((targets == 1).any(axis=0)).tolist())
