"""The part of a split that a file with boxes is named after."""

import re

from headstart.data.split_names import split_of

# What people and tools add to the name, as in instances_train2017 and train_labels.
_ADDED = re.compile(r"instances|annotations?|coco|labels?|boxes|bboxes|objects|\d+", re.IGNORECASE)


def part_of_name(stem: str) -> str | None:
    """Return "train", "val" or "test" if a file's name without suffix means that; else None."""
    return split_of(_ADDED.sub(" ", stem))
