"""Candidate heads for a tuned network, compared on the same held-out images."""

from collections.abc import Mapping

from headstart.arrays import Scores, Targets
from headstart.evaluation.comparison import HeldOutResult, measure_held_out
from headstart.heads.fitted import width_of
from headstart.heads.stacking import MIN_SHARE, Average
from headstart.task import Task
from headstart.tuning.job import ClassifierHead

PROBE = "probe"
"""The frozen model's head, on frozen features."""
TRAINED = "trained"
"""The head that was trained jointly with the network."""
REFITTED = "refitted"
"""The frozen model's kind of head, refitted on the tuned features."""
BLEND = "blend"
"""The average of the trained and the refitted head."""


def measure_candidates(
    scores: Mapping[str, Scores], targets: Targets, task: Task, *, blend: bool
) -> tuple[dict[str, HeldOutResult], Average | None]:
    """Measure candidate heads by their scores of held-out images.

    Args:
        scores: Scores by name of the head, each of shape (images, classes).
        targets: Labels of the images.
        task: The kind of label.
        blend: Whether the average of two heads is a candidate too.

    Returns:
        The results by name, and the average, if there are two heads.
    """
    average = None
    if blend and TRAINED in scores and REFITTED in scores:
        average = Average.of([scores[TRAINED], scores[REFITTED]], targets, task)
        if average.shares.min() >= MIN_SHARE:
            scores = {**scores, BLEND: average.scores}
    results = {name: measure_held_out(values, targets, task) for name, values in scores.items()}
    return results, average


def blend_heads(
    trained: ClassifierHead, refitted: ClassifierHead, average: Average
) -> ClassifierHead:
    """Return the average of two heads."""
    wider = trained if width_of(trained.head) > width_of(refitted.head) else refitted
    return ClassifierHead(average.model([trained.head, refitted.head]), wider.features)
