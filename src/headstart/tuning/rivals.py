"""The heads that may read what a trained network gives, judged on the same images."""

from collections.abc import Mapping

import numpy as np

from headstart.arrays import Floats, Rows
from headstart.evaluation.comparison import Rival, rival
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
    scores: Mapping[str, Floats], labels: Rows, task: Task, *, blend: bool
) -> dict[str, Rival]:
    """Judge heads by their scores, (images, classes), of images that they did not learn from.

    Args:
        scores: By the name of the head.
        labels: Class numbers of the images.
        task: The kind of label.
        blend: The mean of two heads may be taken as well.
    """
    rivals = {name: rival(one, labels, task) for name, one in scores.items()}
    if blend and ALONG in scores and REFITTED in scores:
        parts = [scores[name] / rivals[name].temperature for name in (ALONG, REFITTED)]
        rivals[BLEND] = rival(np.mean(parts, axis=0), labels, task)
    return rivals


def blended(along: Reading, refitted: Reading, temperatures: Mapping[str, float]) -> Reading:
    """Give the mean of two heads, each by its temperature, and the columns that it reads."""
    assert isinstance(along.head, SingleModel) and isinstance(refitted.head, SingleModel)
    wider = along if len(along.head.mean) > len(refitted.head.mean) else refitted
    head = BlendModel(along.head, refitted.head, temperatures[ALONG], temperatures[REFITTED])
    return Reading(head, wider.features)
