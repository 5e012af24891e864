"""Choosing on held-out folds: which features, which head, how strongly regularised.

Every candidate is measured by the log loss of images that it did not learn from, never of a test
image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from headstart.arrays import Rows, Scores
from headstart.heads.bases import Basis
from headstart.heads.logistic import LogisticModels, fit_logistic
from headstart.heads.problem import (
    EXACT_IMAGES,
    Candidate,
    Chosen,
    HeadFit,
    HeldOut,
    Kind,
    Problem,
    effort_for,
)
from headstart.heads.spaces import Space

# Decades first, then half-decades around the best.
_STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_NEARBY = (10**0.5, 1.0, 10**-0.5)


@dataclass(frozen=True)
class Trial:
    """One candidate on folds.

    Attributes:
        basis: What logistic regression was fitted in.
        strength: The best of those tried.
        log_loss: Of held-out images, at that strength.
        accuracy: Likewise.
        held_out: Scores of every image by a model that had not seen it.
    """

    basis: Basis
    strength: float
    log_loss: float
    accuracy: float
    held_out: HeldOut

    def row(self) -> Candidate:
        """Return the trial's row of the table."""
        features, kind = self.basis.features, self.basis.kind
        return Candidate(features, kind, self.log_loss, self.accuracy, len(self.held_out.rows))


def select_head(
    problem: Problem,
    kinds: Sequence[Kind] = ("linear", "kernel"),
    *,
    seed: int = 0,
    exact: int = EXACT_IMAGES,
) -> HeadFit:
    """Fit every combination of columns and kinds on folds, keep the best, and fit it on all.

    Args:
        problem: What is to be learnt.
        kinds: Heads to try.
        seed: Of the sample that chooses where there are too many images.
        exact: Up to so many images, all of them choose.
    """
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.part(sample)
    trials = _first_trials(small, kinds)
    leading = min(trials, key=_log_loss).basis.features
    for kind in kinds:
        trials += _refined(small, _best(trials, leading, kind))
    best = min(trials, key=_log_loss)
    names = {(trial.basis.features, trial.basis.kind) for trial in trials}
    rows = [_best(trials, *name) for name in sorted(names)]
    table = tuple(trial.row() for trial in sorted(rows, key=_log_loss))
    if sample is not None:
        best = _on_all(best, problem, fewer=len(sample) / len(problem.targets))
    head = best.basis.fitted(problem, best.strength, sample)
    chosen = Chosen(best.basis.kind, best.strength, best.basis.width)
    return HeadFit(head, best.held_out, best.basis.features, table, chosen)


def fit_chosen(
    problem: Problem, chosen: Chosen, *, seed: int = 0, exact: int = EXACT_IMAGES
) -> HeadFit:
    """Fit what was chosen before, on other features of the images: nothing is held out.

    Args:
        problem: With one kind of features.
        chosen: What `select_head` settled.
        seed: Of the sample, as there.
        exact: As there.
    """
    (features,) = problem.columns
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.part(sample)
    standardised = small.standardised(small.columns[features])
    products = standardised.inner_products()
    basis = Basis.of(features, chosen.kind, standardised, products, chosen.width)
    if sample is not None:
        basis = basis.extended(problem)
    head = basis.fitted(problem, chosen.strength, sample)
    return HeadFit(head, None, features, chosen=chosen)


def best_of(problem: Problem, fits: Sequence[HeadFit]) -> HeadFit:
    """Take the fit that predicted most held-out images correctly, and list the others.

    For heads whose scores are not log probabilities before they are calibrated.
    """
    rated = sorted(
        ((_rated(problem, fit), fit) for fit in fits), key=lambda pair: -pair[0].accuracy
    )
    return replace(rated[0][1], candidates=tuple(candidate for candidate, _ in rated))


def _rated(problem: Problem, fit: HeadFit) -> Candidate:
    assert fit.held_out is not None
    logits, rows = fit.held_out.logits, fit.held_out.rows
    loss = float(_losses(problem, torch.from_numpy(logits).unsqueeze(0), rows)[0])
    accuracy = _accuracy(problem, logits, rows)
    return Candidate(fit.features, fit.head.kind, loss, accuracy, len(rows))


def _first_trials(problem: Problem, kinds: Sequence[Kind]) -> list[Trial]:
    trials = []
    for name, part in problem.columns.items():
        standardised = problem.standardised(part)
        products = standardised.inner_products()
        for kind in kinds:
            basis = Basis.of(name, kind, standardised, products)
            trials.append(_try(problem, basis, _STRENGTHS))
    return trials


def _refined(problem: Problem, best: Trial) -> list[Trial]:
    """Try strengths between the decades and, for a kernel, other widths."""
    strengths = [best.strength * factor for factor in _NEARBY]
    basis, bases = best.basis, [best.basis]
    if basis.kind == "kernel":
        widths = effort_for(len(problem.targets), problem.classes).widths
        bases += [
            Basis.of(basis.features, basis.kind, basis.standardised, basis.products, width)
            for width in widths
        ]
    return [_try(problem, one, strengths) for one in bases]


def _on_all(best: Trial, problem: Problem, *, fewer: float) -> Trial:
    """Go from a sample's best candidate to all images.

    More images need less regularisation: how much less is chosen on one fold.
    """
    strengths = [best.strength * fewer**power for power in (0.0, 0.5, 1.0)]
    fold = replace(problem, folds=problem.folds[:1])
    return _try(fold, best.basis.extended(problem), strengths)


def _try(problem: Problem, basis: Basis, strengths: Sequence[float]) -> Trial:
    """Cross-validate one basis at several strengths and keep the best strength."""
    held_out = problem.held_out_rows()
    models = fit_logistic(
        basis.space.inputs,
        problem.truth(),
        problem.shares_of_folds().repeat(1, len(strengths)),
        torch.tensor(strengths).repeat_interleave(len(problem.folds)),
        task=problem.task,
        spectrum=basis.space.spectrum,
        steps=effort_for(len(problem.targets), problem.classes).steps,
    )
    logits = _held_out_logits(problem, basis.space, models, len(strengths))
    losses = _losses(problem, logits, held_out)
    best = int(losses.argmin())
    scores = HeldOut(held_out, logits[best].numpy())
    accuracy = _accuracy(problem, scores.logits, held_out)
    return Trial(basis, strengths[best], float(losses[best]), accuracy, scores)


def _held_out_logits(
    problem: Problem, space: Space, models: LogisticModels, strengths: int
) -> Tensor:
    """Score each held-out image by the model of its fold: (strengths, images, classes)."""
    folds = len(problem.folds)
    weight = models.weight.view(strengths, folds, *models.weight.shape[1:])
    bias = models.bias.view(strengths, folds, *models.bias.shape[1:])
    parts = [
        space.inputs[held] @ weight[:, number] + bias[:, number]
        for number, (_, held) in enumerate(problem.folds)
    ]
    return torch.cat(parts, dim=1)


def _losses(problem: Problem, logits: Tensor, rows: Rows) -> Tensor:
    """Return the mean log loss of some images at each strength."""
    losses, _ = problem.task.loss_and_gradient(logits, problem.truth()[rows])
    return losses.sum(dim=2).mean(dim=1)


def _accuracy(problem: Problem, logits: Scores, rows: Rows) -> float:
    return float(problem.task.correct(logits, problem.targets[rows]).mean())


def _best(trials: Sequence[Trial], features: str, kind: Kind) -> Trial:
    same = [one for one in trials if (one.basis.features, one.basis.kind) == (features, kind)]
    return min(same, key=_log_loss)


def _log_loss(trial: Trial) -> float:
    return trial.log_loss
