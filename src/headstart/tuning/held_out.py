"""The images of a fine-tuning, and which of them each round holds out."""

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Folds, Rows, Targets
from headstart.data.images import ImageSet
from headstart.data.splits import stratified_folds
from headstart.files import digest

_FOLDS = 5

ALL_FOLDS = 800
"""Up to so many images, each is held out once: a fifth of them would be too few to decide by,
and training is short. Of more, a fifth decides unless that is unclear and there is time."""


@dataclass(frozen=True)
class LearningSet:
    """The images of a fine-tuning.

    Attributes:
        files: Path and sha256 of each image.
        names: How the user named each.
        targets: Class numbers, shape (images,).
        groups: Images of one group are on one side of every round.
        rounds: Numbers of the images to learn from, and of those held out.
        least: How many rounds are trained in any case.
        final: Whether the model that is kept learns from the images of both sides afterwards.
        seed: Of everything that is drawn.
    """

    files: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    targets: Targets
    groups: tuple[str, ...]
    rounds: Folds
    least: int
    final: bool
    seed: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def everything(self) -> tuple[Rows, Rows]:
        """A round that learns from all images and holds none out."""
        rows = np.arange(len(self))
        return rows, rows[:0]

    def digest(self) -> str:
        """Return a hash of the content."""
        rounds = [[train.tolist(), held_out.tolist()] for train, held_out in self.rounds]
        return digest({"files": self.files, "targets": self.targets.tolist(), "rounds": rounds})


def learning_set(
    train: ImageSet, val: ImageSet | None, *, hold_out: bool, seed: int
) -> LearningSet:
    """Hold out the validation part, or else a fifth at a time of the training part.

    Args:
        train: What to learn from.
        val: What to choose by, if there is such a part.
        hold_out: Whether anything is held out of the training part.
        seed: Of the folds.

    Raises:
        DataError: No class has two images of different groups.
    """
    images = train.joined(val) if val is not None and len(val) else train
    rounds: Folds = ()
    if len(images) > len(train):
        learn, held_out = np.split(np.arange(len(images)), [len(train)])
        rounds = ((learn, held_out),)
    elif hold_out:
        rounds = stratified_folds(train.strata, train.groups, folds=_FOLDS, seed=seed)
    return LearningSet(
        files=tuple(zip(images.paths, images.sha256s, strict=True)),
        names=tuple(images.names),
        targets=images.labels,
        groups=tuple(images.groups),
        rounds=tuple(rounds),
        least=len(rounds) if len(train) <= ALL_FOLDS else min(1, len(rounds)),
        final=len(images) == len(train) and bool(rounds),
        seed=seed,
    )
