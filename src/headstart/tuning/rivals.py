"""The heads that may read a trained network's features, compared on the same held-out images."""

from collections.abc import Mapping

import numpy as np

from headstart.arrays import Scores, Targets
from headstart.evaluation.comparison import HeldOutResult, measure_held_out
from headstart.heads.fitted import BlendModel, SingleModel
from headstart.task import Task
from headstart.tuning.job import Reading

PROBE = "probe"
"""The frozen model's head, on frozen features."""
ALONG = "along"
"""The head that was trained along with the network."""
REFITTED = "refitted"
"""The frozen model's kind of head, fitted on the tuned features."""
BLEND = "blend"
"""The mean of the two above, each calibrated."""


def rivals_of(
    scores: Mapping[str, Scores], targets: Targets, task: Task, *, blend: bool
) -> dict[str, HeldOutResult]:
    """Measure heads by their scores, (images, classes), of images that they did not learn from.

    Args:
        scores: By the name of the head.
        targets: Of the images.
        task: The kind of label.
        blend: Whether the mean of two heads may be used as well.
    """
    rivals = {name: measure_held_out(one, targets, task) for name, one in scores.items()}
    if blend and ALONG in scores and REFITTED in scores:
        parts = [scores[name] / rivals[name].temperature for name in (ALONG, REFITTED)]
        rivals[BLEND] = measure_held_out(np.mean(parts, axis=0), targets, task)
    return rivals


def blended(along: Reading, refitted: Reading, temperatures: Mapping[str, float]) -> Reading:
    """Return the mean of two heads, each by its temperature, and the columns that it reads."""
    assert isinstance(along.head, SingleModel) and isinstance(refitted.head, SingleModel)
    wider = along if len(along.head.mean) > len(refitted.head.mean) else refitted
    head = BlendModel(along.head, refitted.head, temperatures[ALONG], temperatures[REFITTED])
    return Reading(head, wider.features)
