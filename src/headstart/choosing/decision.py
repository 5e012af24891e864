"""Which backbone to use: the fastest whose accuracy is not significantly below the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.arrays import Flags
from headstart.evaluation.intervals import paired_difference

# A backbone that loses more accuracy than this on the folds is not chosen for its speed, however
# few the images: noise may hide a difference, but does not remove it.
_MAX_LOSS = 0.005
# Two timings of the same backbone differ by up to a quarter on a busy machine.
_MIN_SPEEDUP = 1.25


@dataclass(frozen=True)
class BackboneScore:
    """The accuracy and the speed of a backbone that was tried on the images.

    Attributes:
        name: The name that the user passed.
        weights: The source of the weights.
        images_per_second: Speed on this machine.
        correct: Which held-out images a linear head on its features predicted correctly, shape
            (images,); the same images in the same order for all backbones.
    """

    name: str
    weights: str
    images_per_second: float
    correct: Flags

    @property
    def accuracy(self) -> float:
        """Share of held-out images that were predicted correctly."""
        return float(self.correct.mean())


def choose_backbone(
    scores: Sequence[BackboneScore], *, min_speed: float = 0.0
) -> tuple[BackboneScore, str]:
    """Choose a backbone and explain the choice.

    The most accurate backbone is chosen, unless another is clearly faster, not significantly
    worse, and at most half a percentage point worse (with few images: one image).

    Args:
        scores: Scores of at least one backbone.
        min_speed: Minimum number of images per second.

    Returns:
        The chosen backbone, and the reason, as a clause without its name.
    """
    pretrained = [score for score in scores if score.weights != "random"] or list(scores)
    candidates = [score for score in pretrained if score.images_per_second >= min_speed]
    if not candidates:
        fastest = max(pretrained, key=lambda score: score.images_per_second)
        return fastest, "none is within the time limit per image; this is the fastest"
    best = max(candidates, key=lambda score: (score.accuracy, score.images_per_second))
    faster = [score for score in candidates if _is_clearly_faster(score, best)]
    if faster:
        chosen = max(faster, key=lambda score: score.images_per_second)
        speedup = chosen.images_per_second / best.images_per_second
        return chosen, f"not significantly worse than {best.name}, and {speedup:.1f} times as fast"
    others = [score for score in candidates if score is not best]
    return best, _explain_best(best, others, len(scores))


def _explain_best(best: BackboneScore, others: Sequence[BackboneScore], tried: int) -> str:
    if not others and tried == 1:
        return "it was the only candidate"
    if not others:
        return "the only one with pretrained weights that is within the time allowed"
    second = max(others, key=lambda score: score.accuracy)
    low, _ = paired_difference(best.correct, second.correct)
    ahead = 100 * (best.accuracy - second.accuracy)
    fastest = best.images_per_second >= max(score.images_per_second for score in others)
    if low <= 0:
        if fastest:
            return f"no other is more accurate or faster; {second.name} is not significantly worse"
        faster = second.images_per_second >= _MIN_SPEEDUP * best.images_per_second
        if faster:
            detail = f"is faster, but {ahead:.1f} points less accurate"
        else:
            detail = "is not significantly worse, but not clearly faster"
        return f"no other is more accurate; {second.name} {detail}"
    return f"the most accurate by {ahead:.1f} points over {second.name}" + (
        ", and the fastest" if fastest else ""
    )


def pareto_front(scores: Sequence[BackboneScore]) -> list[BackboneScore]:
    """Return the backbones that no other beats in both accuracy and speed, fastest first."""
    return sorted(
        (score for score in scores if not any(_dominates(other, score) for other in scores)),
        key=lambda score: -score.images_per_second,
    )


def _is_clearly_faster(candidate: BackboneScore, best: BackboneScore) -> bool:
    """Return whether a backbone is as good as the best and faster by more than timing noise."""
    _, high = paired_difference(candidate.correct, best.correct)
    lost = int(best.correct.sum()) - int(candidate.correct.sum())
    as_good = high >= 0 and lost <= max(1, _MAX_LOSS * len(best.correct))
    return as_good and candidate.images_per_second >= _MIN_SPEEDUP * best.images_per_second


def _dominates(first: BackboneScore, second: BackboneScore) -> bool:
    speeds = first.images_per_second, second.images_per_second
    return (
        first.accuracy >= second.accuracy
        and speeds[0] >= speeds[1]
        and (first.accuracy > second.accuracy or speeds[0] > speeds[1])
    )
