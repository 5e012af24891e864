"""The most confident wrong predictions of each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.answers import Mistake
from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets


def worst_label_mistakes(
    probabilities: Probabilities,
    targets: Targets,
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    limit: int,
) -> list[Mistake]:
    """Return at most `limit` wrong predictions, spread over the labels.

    The most confident mistake of each label comes first, then the second of each, and so on; within
    such a round, the most confident first. Otherwise, a label that is hard to predict would leave
    no room for others.

    Args:
        probabilities: Calibrated probability of each label, shape (images, classes).
        targets: 1 for a label that is present, 0 for absent, -1 for unknown, shape (images,
            classes).
        classes: The names of the labels.
        thresholds: For each label, the smallest probability with which it is predicted.
        limit: The maximum number.
    """
    present = np.asarray(targets == 1)
    predicted = probabilities >= np.array(thresholds)
    wrong = (predicted != present) & (targets >= 0)
    # How probable the wrong prediction is: near 1 if the model is sure of it.
    confidence = np.where(predicted, probabilities, 1 - probabilities)
    found = [
        (place, -confidence[row, column], int(row), column)
        for column in range(len(classes))
        for place, row in enumerate(_most_confident(confidence[:, column], wrong[:, column], limit))
    ]
    return [
        Mistake(
            row,
            _answer(present[row, column]),
            _answer(predicted[row, column]),
            float(confidence[row, column]),
            about=classes[column],
        )
        for _, _, row, column in sorted(found)[:limit]
    ]


def _answer(present: bool) -> str:
    return "present" if present else "absent"


def _most_confident(confidence: Numbers, wrong: Flags, limit: int) -> Rows:
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-confidence[rows], kind="stable")][:limit]
