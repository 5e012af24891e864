"""What is to be learnt from features, and the result of fitting."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Features, Floats, Folds, Rows, Scores, Targets
from headstart.data.splits import stratified_sample
from headstart.heads.fitted import FittedHead
from headstart.heads.spaces import Standardised, standardise
from headstart.task import Task

Kind = Literal["linear", "kernel"]

_OTHER_WIDTHS = (0.5, 2.0)
# Up to here everything is exact. A matrix of its inner products takes 16 MB and 0.3 s to rotate.
EXACT_IMAGES = 2048


@dataclass(frozen=True)
class Effort:
    """How thoroughly candidates are tried, so that choosing never takes longer than extraction.

    Attributes:
        folds: How many; more help only where images are few.
        steps: Of L-BFGS in a trial. After 20 the order of candidates no longer changed, after 10
            it seldom did.
        widths: Other kernel widths to try.
    """

    folds: int
    steps: int
    widths: tuple[float, ...]


def effort_for(images: int, classes: int) -> Effort:
    """Return the effort that suits a problem's size."""
    work = min(images, EXACT_IMAGES) * classes
    if work <= 10_000:
        return Effort(folds=5, steps=20, widths=_OTHER_WIDTHS)
    if work <= 50_000:
        return Effort(folds=3, steps=20, widths=_OTHER_WIDTHS)
    return Effort(folds=3, steps=10, widths=())


@dataclass(frozen=True)
class Candidate:
    """One row of the table that was chosen from.

    Attributes:
        features: "last" or "multilevel".
        head: "linear" or "kernel".
        log_loss: Mean over held-out images.
        accuracy: Share of held-out images that were predicted correctly.
        images: How many were held out.
    """

    features: str
    head: str
    log_loss: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class HeldOut:
    """Scores of training images by models that had not seen them.

    Attributes:
        rows: Which images.
        logits: Shape (rows, classes).
    """

    rows: Rows
    logits: Scores


@dataclass(frozen=True)
class Chosen:
    """What choosing has settled about a head.

    Attributes:
        kind: "linear" or "kernel".
        strength: Of the regularisation, when it is fitted on all images.
        width: Of a kernel, as a multiple of the median squared distance.
    """

    kind: Kind
    strength: float
    width: float


@dataclass(frozen=True)
class HeadFit:
    """A fitted head, and what it did on images held out.

    Attributes:
        head: The head.
        held_out: For calibration; None where every image was learnt from.
        features: Which columns it reads: "last", "multilevel" or "flatten".
        candidates: What it was chosen from; the chosen one first.
        chosen: What choosing has settled, for a head that has such numbers.
    """

    head: FittedHead
    held_out: HeldOut | None
    features: str
    candidates: tuple[Candidate, ...] = ()
    chosen: Chosen | None = None


@dataclass(frozen=True)
class Problem:
    """What is to be learnt.

    Attributes:
        features: Shape (images, width).
        columns: Columns of each kind of features, by name.
        targets: What is to be predicted, as the task encodes it, one for each image.
        classes: How many classes there are.
        folds: Pairs of rows (learn from, measure on), each row measured on once.
        task: The kind of label.
        balanced: Weigh classes inversely to their frequency.
        weights: How much each column counts, shape (width,); all the same by default.
    """

    features: Features
    columns: Mapping[str, slice]
    targets: Targets
    classes: int
    folds: Folds
    task: Task
    balanced: bool = False
    weights: Floats | None = None

    def standardised(self, part: slice) -> Standardised:
        """Return some of the columns, standardised."""
        weights = None if self.weights is None else torch.from_numpy(self.weights[part])
        return standardise(torch.from_numpy(self.features[:, part]), weights)

    def shares(self) -> Tensor:
        """Return how much each image counts, shape (images,), sum 1."""
        return torch.from_numpy(
            self.task.sample_weights(self.targets, self.classes, balanced=self.balanced)
        )

    def truth(self) -> Tensor:
        """Return what scores are compared with, shape (images, classes)."""
        return self.task.encode(self.targets, self.classes)

    def sample(self, images: int, *, seed: int) -> Rows | None:
        """Draw a stratified sample of the images; None if there are no more."""
        return stratified_sample(self.task.strata(self.targets), images, seed=seed)

    def shares_of_folds(self) -> Tensor:
        """Return how much each image counts in each fold, held-out ones 0: (images, folds)."""
        shares = self.shares().unsqueeze(1).repeat(1, len(self.folds))
        for number, (_, held) in enumerate(self.folds):
            shares[held, number] = 0
        return shares / shares.sum(dim=0)

    def held_out_rows(self) -> Rows:
        """Return the rows that some fold holds out, fold after fold."""
        return np.concatenate([held for _, held in self.folds])

    def part(self, rows: Rows) -> "Problem":
        """Return the same problem for some of the images."""
        place = np.full(len(self.targets), -1)
        place[rows] = np.arange(len(rows))
        folds = [
            (kept[kept >= 0], held[held >= 0])
            for kept, held in ((place[kept], place[held]) for kept, held in self.folds)
        ]
        usable = [(kept, held) for kept, held in folds if len(kept) and len(held)]
        return replace(self, features=self.features[rows], targets=self.targets[rows], folds=usable)
