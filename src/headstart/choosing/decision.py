"""Which backbone to take: the fastest of those that nothing beats by more than noise."""

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.arrays import Flags
from headstart.evaluation.intervals import difference

# A backbone that is this much worse on the folds is not taken for its speed, however few the
# images: noise may hide a difference, but does not make one go away.
_MOST_LOST = 0.005
# Two timings of one backbone differ by up to a quarter on a busy machine.
_FASTER = 1.25


@dataclass(frozen=True)
class Rated:
    """A backbone that was tried on the images.

    Attributes:
        name: As the user named it.
        weights: Where they came from.
        images_per_second: On this machine.
        right: Which held-out images a linear head on its features predicted correctly, shape
            (images,); the same images in the same order for all backbones.
    """

    name: str
    weights: str
    images_per_second: float
    right: Flags

    @property
    def accuracy(self) -> float:
        """Share of held-out images that were predicted correctly."""
        return float(self.right.mean())


def recommended(rated: Sequence[Rated], *, slowest: float = 0.0) -> tuple[Rated, str]:
    """Choose a backbone and say why.

    The most accurate one, unless another is clearly faster, not worse by more than noise, and
    not worse by more than half a point (or one image, where they are few).

    Args:
        rated: At least one.
        slowest: Fewest images per second that are acceptable.

    Returns:
        The one to take, and a sentence without its name that says why.
    """
    pretrained = [one for one in rated if one.weights != "random"] or list(rated)
    able = [one for one in pretrained if one.images_per_second >= slowest]
    if not able:
        fastest = max(pretrained, key=lambda one: one.images_per_second)
        return fastest, "none is within the time that you allow for an image; this is the fastest"
    best = max(able, key=lambda one: (one.accuracy, one.images_per_second))
    faster = [one for one in able if _is_worth_it(one, best)]
    if faster:
        taken = max(faster, key=lambda one: one.images_per_second)
        times = taken.images_per_second / best.images_per_second
        return taken, f"within noise of the best, {best.name}, at {times:.1f} times its speed"
    return best, _why_best(best, [one for one in able if one is not best], len(rated))


def _why_best(best: Rated, others: Sequence[Rated], tried: int) -> str:
    if not others and tried == 1:
        return "there was no other to choose from"
    if not others:
        return "the only one with pretrained weights that is within the time allowed"
    second = max(others, key=lambda one: one.accuracy)
    low, _ = difference(best.right, second.right)
    ahead = 100 * (best.accuracy - second.accuracy)
    fastest = best.images_per_second >= max(one.images_per_second for one in others)
    if low <= 0:
        text = f"no other is better, and {second.name} is within noise of it"
        if fastest:
            return f"{text}; it is the fastest"
        faster = second.images_per_second >= _FASTER * best.images_per_second
        return (
            f"{text} but {ahead:.1f} points behind" if faster else f"{text} but not clearly faster"
        )
    return f"the most accurate by {ahead:.1f} points over {second.name}" + (
        ", and the fastest" if fastest else ""
    )


def front(rated: Sequence[Rated]) -> list[Rated]:
    """Return those that no other beats in both accuracy and speed, fastest first."""
    return sorted(
        (one for one in rated if not any(_dominates(other, one) for other in rated)),
        key=lambda one: -one.images_per_second,
    )


def _is_worth_it(one: Rated, best: Rated) -> bool:
    """Return whether a backbone is as good as the best one, and faster than timing errs."""
    _, high = difference(one.right, best.right)
    lost = int(best.right.sum()) - int(one.right.sum())
    as_good = high >= 0 and lost <= max(1, _MOST_LOST * len(best.right))
    return as_good and one.images_per_second >= _FASTER * best.images_per_second


def _dominates(one: Rated, other: Rated) -> bool:
    speeds = one.images_per_second, other.images_per_second
    return (
        one.accuracy >= other.accuracy
        and speeds[0] >= speeds[1]
        and (one.accuracy > other.accuracy or speeds[0] > speeds[1])
    )
