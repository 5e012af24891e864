"""Choosing on held-out folds: which features, which head, how strongly regularised.

Every candidate is judged by the log loss of images that it did not learn from. Nothing here ever
sees a test image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from headstart.data.splits import Folds, Rows, stratified_sample
from headstart.heads.fitted import Array, FittedHead, KernelModel, LinearModel
from headstart.heads.logistic import LogisticModels, fit_logistic
from headstart.heads.spaces import (
    Space,
    Standardised,
    kernel_space,
    linear_space,
    radial_basis,
    standardise,
)

Kind = Literal["linear", "kernel"]

# Decades first, then half-decades around the best.
_STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_NEARBY = (10**0.5, 1.0, 10**-0.5)
_OTHER_WIDTHS = (0.5, 2.0)
_FINAL_STEPS = 200
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
    """Give the effort that suits a problem's size."""
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
        accuracy: Share of held-out images that were told right.
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
    logits: Array


@dataclass(frozen=True)
class HeadFit:
    """A fitted head, and what it did on images held out.

    Attributes:
        head: The head.
        held_out: For calibration; None where every image was learnt from.
        features: Which columns it reads: "last", "multilevel" or "flatten".
        candidates: What it was chosen from; the chosen one first.
    """

    head: FittedHead
    held_out: HeldOut | None
    features: str
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What is to be learnt.

    Attributes:
        features: Shape (images, width).
        columns: Columns of each kind of features, by name.
        labels: Class numbers, shape (images,).
        classes: How many classes there are.
        folds: Pairs of rows (learn from, measure on), each row measured on once.
        balanced: Weigh classes inversely to their frequency.
        weights: How much each column counts, shape (width,); all the same by default.
    """

    features: Array
    columns: Mapping[str, slice]
    labels: Rows
    classes: int
    folds: Folds
    balanced: bool = False
    weights: Array | None = None

    def standardised(self, part: slice) -> Standardised:
        """Give some of the columns, standardised."""
        weights = None if self.weights is None else torch.from_numpy(self.weights[part])
        return standardise(torch.from_numpy(self.features[:, part]), weights)

    def shares(self) -> Tensor:
        """Give how much each image counts, shape (images,), sum 1."""
        counts = np.bincount(self.labels, minlength=self.classes)
        weight = 1 / counts[self.labels] if self.balanced else np.ones(len(self.labels))
        return torch.from_numpy((weight / weight.sum()).astype(np.float32))

    def shares_of_folds(self) -> Tensor:
        """Give how much each image counts in each fold, held-out ones 0: (images, folds)."""
        shares = self.shares().unsqueeze(1).repeat(1, len(self.folds))
        for number, (_, held) in enumerate(self.folds):
            shares[held, number] = 0
        return shares / shares.sum(dim=0)

    def held_out_rows(self) -> Rows:
        """Give the rows that some fold holds out, fold after fold."""
        return np.concatenate([held for _, held in self.folds])

    def part(self, rows: Rows) -> "Problem":
        """Give the same problem for some of the images."""
        place = np.full(len(self.labels), -1)
        place[rows] = np.arange(len(rows))
        folds = [
            (kept[kept >= 0], held[held >= 0])
            for kept, held in ((place[kept], place[held]) for kept, held in self.folds)
        ]
        usable = [(kept, held) for kept, held in folds if len(kept) and len(held)]
        return replace(self, features=self.features[rows], labels=self.labels[rows], folds=usable)


@dataclass(frozen=True)
class Trial:
    """One candidate on folds.

    Attributes:
        features: Name of its columns.
        kind: "linear" or "kernel".
        space: What logistic regression was fitted in.
        standardised: The features behind the space.
        products: Their inner products.
        strength: The best of those tried.
        log_loss: Of held-out images, at that strength.
        accuracy: Likewise.
        held_out: Scores of every image by a model that had not seen it.
    """

    features: str
    kind: Kind
    space: Space
    standardised: Standardised
    products: Tensor
    strength: float
    log_loss: float
    accuracy: float
    held_out: HeldOut

    def row(self) -> Candidate:
        """Give the trial's row of the table."""
        return Candidate(
            self.features, self.kind, self.log_loss, self.accuracy, len(self.held_out.rows)
        )


def select_head(
    problem: Problem, kinds: Sequence[Kind] = ("linear", "kernel"), *, seed: int = 0
) -> HeadFit:
    """Fit every combination of columns and kinds on folds, keep the best, and fit it on all.

    Args:
        problem: What is to be learnt.
        kinds: Heads to try.
        seed: Of the sample that chooses where there are more than `EXACT_IMAGES`.
    """
    sample = stratified_sample(problem.labels, EXACT_IMAGES, seed=seed)
    small = problem if sample is None else problem.part(sample)
    trials = _first_trials(small, kinds)
    leading = min(trials, key=_log_loss).features
    for kind in kinds:
        trials += _refined(small, _best(trials, leading, kind))
    best = min(trials, key=_log_loss)
    rows = {
        (trial.features, trial.kind): _best(trials, trial.features, trial.kind) for trial in trials
    }
    table = tuple(trial.row() for trial in sorted(rows.values(), key=_log_loss))
    if sample is None:
        head, held_out = _finish_exactly(best, problem)
    else:
        head, held_out = _finish_on_all(best, problem, sample)
    return HeadFit(head, held_out, best.features, table)


def best_of(problem: Problem, fits: Sequence[HeadFit]) -> HeadFit:
    """Take the fit that told most held-out images right, and list the others.

    For heads whose scores are no log probabilities before they are calibrated.
    """
    rated = sorted(
        ((_rated(problem, fit), fit) for fit in fits), key=lambda pair: -pair[0].accuracy
    )
    return replace(rated[0][1], candidates=tuple(candidate for candidate, _ in rated))


def _rated(problem: Problem, fit: HeadFit) -> Candidate:
    assert fit.held_out is not None
    logits = torch.from_numpy(fit.held_out.logits)
    labels = torch.from_numpy(problem.labels[fit.held_out.rows])
    loss = float(_losses(logits.unsqueeze(0), labels)[0])
    accuracy = float((logits.argmax(dim=1) == labels).float().mean())
    return Candidate(fit.features, fit.head.kind, loss, accuracy, len(labels))


def _first_trials(problem: Problem, kinds: Sequence[Kind]) -> list[Trial]:
    trials = []
    for name, part in problem.columns.items():
        standardised = problem.standardised(part)
        products = standardised.inner_products()
        for kind in kinds:
            if kind == "linear":
                space = linear_space(standardised, products)
            else:
                space = kernel_space(products, width=1.0)
            trials.append(_try(problem, name, kind, standardised, products, space, _STRENGTHS))
    return trials


def _refined(problem: Problem, best: Trial) -> list[Trial]:
    """Try strengths between the decades and, for a kernel, other widths."""
    strengths = [best.strength * factor for factor in _NEARBY]
    spaces = [best.space]
    if best.kind == "kernel":
        widths = effort_for(len(problem.labels), problem.classes).widths
        spaces += [kernel_space(best.products, width) for width in widths]
    return [
        _try(
            problem,
            best.features,
            best.kind,
            best.standardised,
            best.products,
            space,
            strengths,
        )
        for space in spaces
    ]


def _try(
    problem: Problem,
    name: str,
    kind: Kind,
    standardised: Standardised,
    products: Tensor,
    space: Space,
    strengths: Sequence[float],
) -> Trial:
    """Cross-validate one space at several strengths and keep the best strength."""
    held_out = problem.held_out_rows()
    models = fit_logistic(
        space.inputs,
        torch.from_numpy(problem.labels),
        problem.shares_of_folds().repeat(1, len(strengths)),
        torch.tensor(strengths).repeat_interleave(len(problem.folds)),
        classes=problem.classes,
        spectrum=space.spectrum,
        steps=effort_for(len(problem.labels), problem.classes).steps,
    )
    logits = _held_out_logits(problem, space, models, len(strengths))
    labels = torch.from_numpy(problem.labels[held_out])
    losses = _losses(logits, labels)
    best = int(losses.argmin())
    accuracy = float((logits[best].argmax(dim=1) == labels).float().mean())
    return Trial(
        name,
        kind,
        space,
        standardised,
        products,
        strengths[best],
        float(losses[best]),
        accuracy,
        HeldOut(held_out, logits[best].numpy()),
    )


def _held_out_logits(
    problem: Problem, space: Space, models: LogisticModels, strengths: int
) -> Tensor:
    """Give each held-out image's scores by the model of its fold: (strengths, images, classes)."""
    folds = len(problem.folds)
    weight = models.weight.view(strengths, folds, *models.weight.shape[1:])
    bias = models.bias.view(strengths, folds, *models.bias.shape[1:])
    parts = [
        space.inputs[held] @ weight[:, number] + bias[:, number]
        for number, (_, held) in enumerate(problem.folds)
    ]
    return torch.cat(parts, dim=1)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the mean log loss at each strength."""
    log_probability = torch.log_softmax(logits, dim=2)
    index = labels.view(1, -1, 1).expand(len(logits), -1, 1)
    return -log_probability.gather(2, index).mean(dim=(1, 2))


def _finish_exactly(best: Trial, problem: Problem) -> tuple[FittedHead, HeldOut]:
    """Fit the chosen candidate on all images, in the space that it was tried in."""
    model = _fit(problem, best.space.inputs, best.space.spectrum, best.strength)
    weight = best.space.back @ model.weight[0]
    landmarks = problem.features[:, problem.columns[best.features]]
    return _model(best, best.standardised, landmarks, weight, model.bias[0, 0]), best.held_out


def _finish_on_all(best: Trial, problem: Problem, sample: Rows) -> tuple[FittedHead, HeldOut]:
    """Fit the candidate that a sample chose on all images.

    A linear head is fitted on the features themselves. A kernel head keeps the sample as
    landmarks (Nyström: Williams and Seeger, 2001). More images need less regularisation: how
    much less is chosen on one fold.
    """
    features = problem.features[:, problem.columns[best.features]]
    if best.kind == "linear":
        standardised = problem.standardised(problem.columns[best.features])
        inputs, back = standardised.rows, None
    else:
        standardised = best.standardised
        rows = (torch.from_numpy(features) - standardised.mean) / standardised.scale
        assert best.space.bandwidth is not None
        back = best.space.back
        inputs = radial_basis(rows, best.standardised.rows, best.space.bandwidth) @ back
    spectrum = inputs.square().mean(dim=0)
    fewer = len(sample) / len(features)
    strengths = [best.strength * fewer**power for power in (0.0, 0.5, 1.0)]
    all_rows = Space(inputs, spectrum, torch.empty(0))
    fold = replace(problem, folds=problem.folds[:1])
    judged = _try(fold, best.features, best.kind, standardised, best.products, all_rows, strengths)
    model = _fit(problem, inputs, spectrum, judged.strength)
    weight = model.weight[0] if back is None else back @ model.weight[0]
    head = _model(best, standardised, features[sample], weight, model.bias[0, 0])
    return head, judged.held_out


def _fit(problem: Problem, inputs: Tensor, spectrum: Tensor, strength: float) -> LogisticModels:
    return fit_logistic(
        inputs,
        torch.from_numpy(problem.labels),
        problem.shares().unsqueeze(1),
        torch.tensor([strength]),
        classes=problem.classes,
        spectrum=spectrum,
        steps=_FINAL_STEPS,
    )


def _model(
    best: Trial, standardised: Standardised, landmarks: Array, weight: Tensor, bias: Tensor
) -> FittedHead:
    mean, scale = standardised.mean.numpy(), standardised.scale.numpy()
    if best.kind == "linear":
        return LinearModel(mean, scale, weight.numpy(), bias.numpy())
    assert best.space.bandwidth is not None
    with np.errstate(over="ignore"):
        half = landmarks.astype(np.float16)
    kept = half if np.array_equal(half, landmarks) else landmarks
    return KernelModel(mean, scale, kept, weight.numpy(), bias.numpy(), best.space.bandwidth)


def _best(trials: Sequence[Trial], features: str, kind: Kind) -> Trial:
    same = [trial for trial in trials if (trial.features, trial.kind) == (features, kind)]
    return min(same, key=_log_loss)


def _log_loss(trial: Trial) -> float:
    return trial.log_loss
