"""The task with labelled boxes.

Splits, folds and samples only need to know which classes an image has, so there it is the task with
several labels per image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from headstart.arrays import Targets
from headstart.data.boxes.labels import (
    LabelledBox,
    all_labels,
    labels_in,
    read_boxes,
    write_boxes,
)
from headstart.record import BoxesEvaluation, Evaluation
from headstart.task import Summary
from headstart.tasks.multi import Multi

_SAME = 0.5
_SCALED = 1000
# Boxes of an image that are written out for people.
_SHOWN = 3


@dataclass(frozen=True)
class LabelledBoxes(Multi):
    """Labelled boxes; see `headstart.task.Task`."""

    name: ClassVar[str] = "boxes"
    before_names: ClassVar[str] = "Classes:"

    def counted(self, classes: Sequence[str]) -> str:
        """See `Task.counted`."""
        return f"with boxes of {len(classes):,} class{'' if len(classes) == 1 else 'es'}"

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """See `Task.classes`."""
        return tuple(sorted(all_labels(set(labels))))

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Return 1 for a class of which an image has a box, else 0, (images, classes)."""
        number = {name: index for index, name in enumerate(classes)}
        targets = np.zeros((len(labels), len(classes)), dtype=np.int64)
        for row, text in enumerate(labels):
            present = [number[name] for name in labels_in(text) if name in number]
            targets[row, present] = 1
        return targets

    def label_text(self, label: str) -> str:
        """Return the first boxes, such as "cat (5, 10, 25, 30), dog (30, 0, 60, 40)"."""
        boxes = read_boxes(label)
        shown = ", ".join(map(_written, boxes[:_SHOWN])) or "no boxes"
        rest = len(boxes) - _SHOWN
        return f"{shown} and {rest:,} more" if rest > 0 else shown

    def scaled_label(self, label: str, size: tuple[int, int]) -> str:
        """See `Task.scaled_label`."""
        across, down = (_SCALED / side for side in size)
        return write_boxes(
            [
                box._replace(
                    x1=box.x1 * across, y1=box.y1 * down, x2=box.x2 * across, y2=box.y2 * down
                )
                for box in read_boxes(label)
            ]
        )

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return that copies of an image have different boxes; None if they have the same.

        Nobody draws a box twice alike, so boxes of a label that overlap by half are the same.
        """
        first, *others = sorted(set(labels))
        if all(_same_boxes(read_boxes(first), read_boxes(other)) for other in others):
            return None
        return "copies of the image have different boxes"

    def unlearnable(self, targets: Targets, groups: Sequence[str]) -> set[int]:
        """Return nothing: a class that is in every image can be learnt too."""
        return set()

    def describe(self, classes: Sequence[str]) -> str:
        """See `Task.describe`."""
        return f"Detector of {len(classes)} class{'es' if len(classes) > 1 else ''} of objects"

    def summarise(
        self, evaluation: Evaluation, split: str, trained_on: Sequence[int] = ()
    ) -> Summary:
        """See `Task.summarise`."""
        from headstart.evaluation.boxes.summary import summarise_boxes

        assert isinstance(evaluation, BoxesEvaluation)
        return summarise_boxes(evaluation, split, trained_on)


def _written(box: LabelledBox) -> str:
    corners = ", ".join(f"{value:.0f}" for value in box.corners)
    return f"{box.label} ({corners})"


def _same_boxes(first: Sequence[LabelledBox], second: Sequence[LabelledBox]) -> bool:
    """Return whether each box of a list has one of the other with the same label and place."""
    left = list(second)
    for box in first:
        best = max(left, key=lambda other: _overlap(box, other), default=None)
        if best is None or _overlap(box, best) < _SAME:
            return False
        left.remove(best)
    return not left


def _overlap(first: LabelledBox, second: LabelledBox) -> float:
    """Return the intersection over union of two boxes; 0 if their labels differ."""
    if first.label != second.label:
        return 0.0
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box.x2 - box.x1) * (box.y2 - box.y1) for box in (first, second)]
    return width * height / (sum(areas) - width * height)
