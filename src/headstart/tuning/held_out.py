"""The images for fine-tuning, and which of them each round holds out."""

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Folds, Rows, Targets
from headstart.data.images import ImageSet
from headstart.files import digest

_FOLDS = 5

CROSS_VALIDATE_UP_TO = 800
"""Up to this many images, all folds are held out in turn: one fifth would be too few to decide, and
training is short. With more images, one fold is enough unless the result is inconclusive and there
is time."""


@dataclass(frozen=True)
class LearningSet:
    """The images for fine-tuning.

    Attributes:
        files: Path and sha256 of each image.
        names: Name of each image, as the user passed it.
        targets: Class numbers, shape (images,).
        groups: Group of each image; a round never splits a group.
        rounds: Pairs of image indices (train, held out).
        min_rounds: Minimum number of rounds to train.
        final: Whether a final model is then trained on all images.
        seed: Random seed.
    """

    files: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    targets: Targets
    groups: tuple[str, ...]
    rounds: Folds
    min_rounds: int
    final: bool
    seed: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def everything(self) -> tuple[Rows, Rows]:
        """A round that trains on all images and holds out none."""
        rows = np.arange(len(self))
        return rows, rows[:0]

    def digest(self) -> str:
        """Return a hash of the content."""
        rounds = [[train.tolist(), held_out.tolist()] for train, held_out in self.rounds]
        return digest({"files": self.files, "targets": self.targets.tolist(), "rounds": rounds})


def learning_set(
    train: ImageSet, val: ImageSet | None, *, hold_out: bool, seed: int
) -> LearningSet:
    """Hold out the validation part or, without one, a fifth of the training part at a time.

    Args:
        train: The training part.
        val: The validation part, if there is one.
        hold_out: Whether to hold out images of the training part.
        seed: Random seed of the folds.

    Raises:
        DataError: No class has two images of different groups.
    """
    images = train.joined(val) if val is not None and len(val) else train
    rounds: Folds = ()
    if len(images) > len(train):
        train_rows, held_out = np.split(np.arange(len(images)), [len(train)])
        rounds = ((train_rows, held_out),)
    elif hold_out:
        rounds = train.folds(_FOLDS, seed=seed)
    return LearningSet(
        files=tuple(zip(images.paths, images.sha256s, strict=True)),
        names=tuple(images.names),
        targets=images.labels,
        groups=tuple(images.groups),
        rounds=tuple(rounds),
        min_rounds=len(rounds) if len(train) <= CROSS_VALIDATE_UP_TO else min(1, len(rounds)),
        final=len(images) == len(train) and bool(rounds),
        seed=seed,
    )
