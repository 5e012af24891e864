"""A classification problem on features, and the result of fitting a head to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from headstart.answers import Thresholds
from headstart.arrays import Features, Floats, Folds, Rows, Scores, Targets, Temperature
from headstart.data.splits import stratified_sample
from headstart.heads.fitted import FittedHead
from headstart.heads.spaces import Standardised, standardise
from headstart.task import Task

Kind = Literal["linear", "kernel"]
Decider = Literal["folds", "val"]

Strength = tuple[float, ...]
"""Regularisation strength: one value for all classes or, where labels are independent, one each."""

_OTHER_WIDTHS = (0.5, 2.0)
# Up to this many images, nothing is approximated. The matrix of their inner products takes 16 MB
# and its eigendecomposition 0.3 s.
EXACT_IMAGES = 2048

# Below this number of images per class, held-out images say little about heads and calibration.
# See docs/decisions/few-images.md.
_FEW_PER_CLASS = 15


@dataclass(frozen=True)
class Effort:
    """The effort of model selection, limited so that it never takes longer than extraction.

    Attributes:
        folds: Number of folds; a higher number helps only with few images.
        steps: Number of L-BFGS steps at each regularisation strength.
        widths: Other kernel widths to try.
    """

    folds: int
    steps: int
    widths: tuple[float, ...]


def effort_for(images: int, classes: int) -> Effort:
    """Return the effort for a problem of a given size."""
    work = min(images, EXACT_IMAGES) * classes
    if work <= 10_000:
        return Effort(folds=5, steps=12, widths=_OTHER_WIDTHS)
    if work <= 50_000:
        return Effort(folds=3, steps=12, widths=_OTHER_WIDTHS)
    return Effort(folds=3, steps=6, widths=())


def few_images(images: int, classes: int) -> bool:
    """Return whether there are too few images to do without nearest means in an average."""
    return images < _FEW_PER_CLASS * classes


@dataclass(frozen=True)
class HeldOutEstimate:
    """The performance of a candidate on images that it was not fitted on.

    Attributes:
        log_loss: Mean over the images.
        accuracy: Share of the images that were predicted correctly.
        images: Number of images.
    """

    log_loss: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class Candidate:
    """One row of the table of candidate heads.

    Attributes:
        features: "last" or "multilevel".
        head: The kind of the head.
        log_loss: Mean over the images of the held-out folds.
        accuracy: Share of these images that were predicted correctly.
        images: Number of these images.
        val: The same on the validation part, for a fit on the training part; None without one.
        share: Its weight in the average of heads, 0 to 1; None if none were averaged, and for the
            average itself.
    """

    features: str
    head: str
    log_loss: float
    accuracy: float
    images: int
    val: HeldOutEstimate | None = None
    share: float | None = None


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold scores: each training image is scored by a model that was not fitted on it.

    Attributes:
        rows: Indices of the images.
        logits: Shape (rows, classes).
    """

    rows: Rows
    logits: Scores


@dataclass(frozen=True)
class Member:
    """A linear, kernel or nearest-mean head with everything that model selection has chosen.

    Attributes:
        features: The features that it uses: "last", "multilevel" or "flatten".
        kind: "linear", "kernel" or "nearest".
        strength: Regularisation strength for a fit on all images; empty for a nearest-mean head.
        width: Kernel width, as a multiple of the median squared distance.
        share: Its weight in the average of heads, 0 to 1; 1 if it is the only one.
        temperature: Divisor of its scores that calibrates them, before the average.
    """

    features: str
    kind: Kind | Literal["nearest"]
    strength: Strength = ()
    width: float = 1.0
    share: float = 1.0
    temperature: Temperature = 1.0


@dataclass(frozen=True)
class HeadFit:
    """A fitted head and its held-out scores.

    Attributes:
        head: The head.
        held_out: Scores for calibration; None if no image was held out.
        features: The features that it uses: "last", "multilevel" or "flatten"; of several heads,
            the widest.
        candidates: The heads that were compared, best first, after their average if there is one.
        members: The heads that `select_head` has chosen; empty for a head of another kind.
        chosen_on: What decided between the candidates: "folds" or "val", the validation part.
        why: The reason for the choice, as a clause; "" if nothing was compared.
        temperature: Divisor of the head's scores that calibrates them on the held-out images.
        thresholds: The operating point, chosen on the same images; None if the most probable class
            is predicted.
        folds: Pairs of rows (train, held out): the folds, or the training and the validation part.
        truth: The encoded labels of the held-out images, if they calibrated the scores.
    """

    head: FittedHead
    held_out: HeldOut | None
    features: str
    candidates: tuple[Candidate, ...] = ()
    members: tuple[Member, ...] = ()
    chosen_on: Decider = "folds"
    why: str = ""
    temperature: Temperature = 1.0
    thresholds: Thresholds | None = None
    folds: Folds = ()
    truth: Targets | None = None

    def held_out_scores(self, rows: Rows) -> Scores | None:
        """Return the held-out scores of one fold, (rows, classes).

        Args:
            rows: The fold's held-out rows, in any order.

        Returns:
            The scores in that order; None if the rows are not those of a fold, or were not scored.
        """
        known = self.held_out
        is_fold = any(np.array_equal(np.sort(fold), np.sort(rows)) for _, fold in self.folds)
        if known is None or not is_fold or not np.isin(rows, known.rows).all():
            return None
        order = np.argsort(known.rows)
        return known.logits[order[np.searchsorted(known.rows, rows, sorter=order)]]


@dataclass(frozen=True)
class Problem:
    """A classification problem on features.

    Attributes:
        features: Shape (images, width).
        columns: Columns of each kind of features, by name.
        targets: The label of each image, as the task encodes it.
        classes: Number of classes.
        folds: Pairs of rows (train, held out). In cross-validation, each row is held out once. A
            given validation part is a single pair.
        task: The kind of label.
        balanced: Whether to weight classes inversely to their frequency.
        column_weights: Weight of each column, shape (width,); equal by default.
    """

    features: Features
    columns: Mapping[str, slice]
    targets: Targets
    classes: int
    folds: Folds
    task: Task
    balanced: bool = False
    column_weights: Floats | None = None

    def standardised(self, part: slice) -> Standardised:
        """Return a range of columns, standardised."""
        weights = self.column_weights
        part_weights = None if weights is None else torch.from_numpy(weights[part])
        return standardise(torch.from_numpy(self.features[:, part]), part_weights)

    def sample_weights(self) -> Tensor:
        """Return the weight of each image, shape (images,), sum 1."""
        return torch.from_numpy(
            self.task.sample_weights(self.targets, self.classes, balanced=self.balanced)
        )

    def truth(self) -> Tensor:
        """Return the encoded targets, shape (images, classes)."""
        return self.task.encode(self.targets, self.classes)

    def sample(self, images: int, *, seed: int) -> Rows | None:
        """Draw a stratified sample; return None if there are no more images than that.

        A validation part, which decides, makes up as much of the sample as it can, up to a half.
        """
        fitted = self.fitted_rows
        if len(fitted) == len(self.targets) or len(self.targets) <= images:
            return stratified_sample(self.task.strata(self.targets), images, seed=seed)
        held_out = self._sample_of(
            self.held_out_rows(), max(images // 2, images - len(fitted)), seed
        )
        return np.sort(
            np.concatenate([self._sample_of(fitted, images - len(held_out), seed), held_out])
        )

    def _sample_of(self, rows: Rows, images: int, seed: int) -> Rows:
        sample = stratified_sample(self.task.strata(self.targets[rows]), images, seed=seed)
        return rows if sample is None else rows[sample]

    def fold_sample_weights(self) -> Tensor:
        """Return sample weights for each fold, 0 for held-out images: (images, folds)."""
        weights = self.sample_weights().unsqueeze(1).repeat(1, len(self.folds))
        for number, (_, held_out) in enumerate(self.folds):
            weights[held_out, number] = 0
        return weights / weights.sum(dim=0)

    @property
    def fitted_rows(self) -> Rows:
        """The rows that the final head learns from: those that any fold trains on, sorted.

        In cross-validation these are all rows; with a validation part, the training part. Without
        folds, nothing is held out.
        """
        if not self.folds:
            return np.arange(len(self.targets))
        return np.unique(np.concatenate([train for train, _ in self.folds]))

    def held_out_rows(self) -> Rows:
        """Return the held-out rows of all folds, concatenated."""
        return np.concatenate([held_out for _, held_out in self.folds])

    def take(self, rows: Rows) -> "Problem":
        """Return the problem restricted to some of the images."""
        position = np.full(len(self.targets), -1)
        position[rows] = np.arange(len(rows))
        folds = [
            (train[train >= 0], held_out[held_out >= 0])
            for train, held_out in ((position[a], position[b]) for a, b in self.folds)
        ]
        usable = [(train, held_out) for train, held_out in folds if len(train) and len(held_out)]
        return replace(self, features=self.features[rows], targets=self.targets[rows], folds=usable)
