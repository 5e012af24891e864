"""What fine-tuning learns from, and what it is judged by."""

import hashlib
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Rows
from headstart.data.images import ImageSet
from headstart.data.splits import stratified_folds

_FOLDS = 5
# Up to so many images, every one is held out once: a fifth of them would be too few to judge by,
# and training is short. Of more, a fifth decides unless that is unclear and there is time.
_ALL_FOLDS = 800


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    Attributes:
        files: Path and sha256 of each image.
        names: How the user calls each.
        labels: Class numbers, shape (images,).
        groups: Images of one group are on one side of every round.
        rounds: Numbers of the images to learn from, and of those to judge by.
        least: How many rounds are trained in any case.
        final: Whether what is kept learns from the images of both sides afterwards.
        seed: Of everything that is drawn.
    """

    files: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    labels: Rows
    groups: tuple[str, ...]
    rounds: tuple[tuple[Rows, Rows], ...]
    least: int
    final: bool
    seed: int

    def digest(self) -> str:
        """Name the task by its content."""
        sides = [(learn.tolist(), judge.tolist()) for learn, judge in self.rounds]
        text = repr((self.files, self.labels.tolist(), sides))
        return hashlib.sha256(text.encode()).hexdigest()


def make_task(train: ImageSet, val: ImageSet | None, *, judged: bool, seed: int) -> Task:
    """Say what is held out: the validation part, or else a fifth at a time of what is learnt from.

    Args:
        train: What to learn from.
        val: What to choose by, if there is such a part.
        judged: Whether anything is held out of the training part.
        seed: Of the folds.

    Raises:
        DataError: No class has two images of different groups.
    """
    images = train.joined(val) if val is not None and len(val) else train
    rounds: list[tuple[Rows, Rows]] = []
    if len(images) > len(train):
        learn, judge = np.split(np.arange(len(images)), [len(train)])
        rounds = [(learn, judge)]
    elif judged:
        rounds = list(stratified_folds(train.strata, train.groups, folds=_FOLDS, seed=seed))
    return Task(
        files=tuple(zip(images.paths, images.sha256s, strict=True)),
        names=tuple(images.names),
        labels=images.labels,
        groups=tuple(images.groups),
        rounds=tuple(rounds),
        least=len(rounds) if len(train) <= _ALL_FOLDS else min(1, len(rounds)),
        final=len(images) == len(train) and bool(rounds),
        seed=seed,
    )
