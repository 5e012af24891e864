"""What is trained on: the annotated images whose labels are frequent enough."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LEAST_IMAGES = 5
"""A label is trained if so many images have it (and as many lack it, with several per image)."""

Row = tuple[Path, tuple[str, ...]]
"""The file of an image, and its labels."""


@dataclass(frozen=True)
class TrainingSet:
    """Images to train on.

    Attributes:
        rows: The images.
        labels: The labels that are trained.
        waiting: The other labels, with the number of their images.
        multiple: Whether images have several labels.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    waiting: dict[str, int]
    multiple: bool

    @classmethod
    def of(cls, rows: Sequence[Row], *, multiple: bool) -> TrainingSet:
        """Choose the labels that are frequent enough, and their images."""
        rows = rows if multiple else [row for row in rows if len(row[1]) == 1]
        counts = Counter(label for _, labels in rows for label in labels)
        most = len(rows) - LEAST_IMAGES if multiple else len(rows)
        kept = {label for label, count in counts.items() if LEAST_IMAGES <= count <= most}
        waiting = {label: count for label, count in counts.items() if label not in kept}
        chosen = [(path, tuple(one for one in labels if one in kept)) for path, labels in rows]
        if not multiple:
            chosen = [row for row in chosen if row[1]]
        return cls(tuple(chosen), tuple(sorted(kept)), waiting, multiple)

    @property
    def is_enough(self) -> bool:
        """Whether it can be trained on."""
        return len(self.labels) >= (1 if self.multiple else 2)

    @property
    def task(self) -> str:
        """The name of the task, for `train`."""
        return "multi" if self.multiple else "single"

    @property
    def what_is_missing(self) -> str:
        """What must be annotated before it can be trained on, in a sentence."""
        counts = Counter(label for _, labels in self.rows for label in labels) | self.waiting
        there = ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
        needed = (
            f"a label that at least {LEAST_IMAGES} images have and {LEAST_IMAGES} lack"
            if self.multiple
            else f"two labels with at least {LEAST_IMAGES} images each"
        )
        return f"Not enough is annotated to train: it takes {needed}. There are {there or 'none'}."

    def table(self) -> str:
        """Return the images as a table of JSON lines, in which a name may have any separator."""
        return "".join(
            json.dumps(
                {"path": str(path), "labels": list(labels)}
                if self.multiple
                else {"path": str(path), "label": labels[0]},
                ensure_ascii=False,
            )
            + "\n"
            for path, labels in self.rows
        )
