"""Candidate heads for a tuned network, compared on the same held-out images."""

from collections.abc import Mapping

import numpy as np

from headstart.arrays import Scores, Targets
from headstart.evaluation.comparison import HeldOutResult, measure_held_out
from headstart.heads.fitted import BlendModel, SingleModel
from headstart.task import Task
from headstart.tuning.job import ClassifierHead

PROBE = "probe"
"""The frozen model's head, on frozen features."""
TRAINED = "trained"
"""The head that was trained jointly with the network."""
REFITTED = "refitted"
"""The frozen model's kind of head, refitted on the tuned features."""
BLEND = "blend"
"""The mean of the trained and the refitted head, each calibrated."""


def measure_candidates(
    scores: Mapping[str, Scores], targets: Targets, task: Task, *, blend: bool
) -> dict[str, HeldOutResult]:
    """Measure candidate heads by their scores of held-out images.

    Args:
        scores: Scores by name of the head, each of shape (images, classes).
        targets: Labels of the images.
        task: The kind of label.
        blend: Whether the mean of two heads is a candidate too.
    """
    candidates = {name: measure_held_out(values, targets, task) for name, values in scores.items()}
    if blend and TRAINED in scores and REFITTED in scores:
        parts = [scores[name] / candidates[name].temperature for name in (TRAINED, REFITTED)]
        candidates[BLEND] = measure_held_out(np.mean(parts, axis=0), targets, task)
    return candidates


def blend_heads(
    trained: ClassifierHead, refitted: ClassifierHead, temperatures: Mapping[str, float]
) -> ClassifierHead:
    """Return the mean of two heads, each calibrated by its temperature."""
    assert isinstance(trained.head, SingleModel) and isinstance(refitted.head, SingleModel)
    wider = trained if len(trained.head.mean) > len(refitted.head.mean) else refitted
    head = BlendModel(trained.head, refitted.head, temperatures[TRAINED], temperatures[REFITTED])
    return ClassifierHead(head, wider.features)
