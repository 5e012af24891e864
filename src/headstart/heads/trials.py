"""Candidates for a head, measured on held-out images: columns, kind, kernel width and strength."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Rows, Scores
from headstart.heads.bases import Basis
from headstart.heads.logistic import LogisticModels, fit_logistic
from headstart.heads.problem import Candidate, HeldOut, Kind, Problem, Strength, effort_for
from headstart.task import Task

# From strong to weak regularisation, in half powers of ten.
_STRENGTHS = tuple((10**-power,) for power in np.arange(1, 6.5, 0.5).tolist())
# The same for another width of a kernel, as multiples of the best strength.
_NEARBY = (10.0, 10**0.5, 1.0, 10**-0.5)


@dataclass(frozen=True)
class Trial:
    """A candidate, measured on held-out images.

    Attributes:
        basis: The basis of the logistic regression.
        strength: The best regularisation strength, of each label where labels are independent.
        log_loss: Log loss on held-out images at that strength.
        accuracy: Accuracy on held-out images at that strength.
        held_out: Out-of-fold scores.
    """

    basis: Basis
    strength: Strength
    log_loss: float
    accuracy: float
    held_out: HeldOut

    def row(self) -> Candidate:
        """Return the trial as a row of the table."""
        features, kind = self.basis.features, self.basis.kind
        return Candidate(features, kind, self.log_loss, self.accuracy, len(self.held_out.rows))


def compare_heads(
    problem: Problem, kinds: Sequence[Kind], strengths: Sequence[Strength] | None = None
) -> list[Trial]:
    """Return the best trial of every combination of columns and kinds, best first."""
    trials = _first_trials(problem, kinds, strengths or _STRENGTHS)
    best_features = min(trials, key=_log_loss).basis.features
    if "kernel" in kinds:
        trials += _other_widths(problem, _best_trial(trials, best_features, "kernel"))
    names = {(trial.basis.features, trial.basis.kind) for trial in trials}
    return sorted((_best_trial(trials, *name) for name in sorted(names)), key=_log_loss)


def nearby(strength: Strength) -> list[Strength]:
    """Return strengths around one that was the best for a similar problem, the strongest first."""
    (strongest,), (weakest,) = _STRENGTHS[0], _STRENGTHS[-1]
    return [
        tuple(min(max(each, weakest), strongest) for each in times(strength, factor))
        for factor in _NEARBY
    ]


def _first_trials(
    problem: Problem, kinds: Sequence[Kind], strengths: Sequence[Strength]
) -> list[Trial]:
    trials = []
    for name, part in problem.columns.items():
        standardised = problem.standardised(part)
        products = standardised.inner_products()
        for kind in kinds:
            basis = Basis.of(name, kind, standardised, products)
            trials.append(_cross_validate(problem, basis, strengths))
    return trials


def _other_widths(problem: Problem, best: Trial) -> list[Trial]:
    """Try other widths of a kernel, with strengths around the best."""
    basis, strengths = best.basis, [times(best.strength, factor) for factor in _NEARBY]
    return [
        _cross_validate(
            problem,
            Basis.of(basis.features, "kernel", basis.standardised, basis.products, width),
            strengths,
        )
        for width in effort_for(len(problem.targets), problem.classes).widths
    ]


def rescale_strength(best: Trial, problem: Problem, *, share: float) -> Trial:
    """Extend the best trial from a sample to all images.

    More images need less regularisation. The strength is chosen on one fold; `share` is the share
    of the training images that is in the sample.
    """
    strengths = [times(best.strength, share**power) for power in (0.0, 0.5, 1.0)]
    fold = replace(problem, folds=problem.folds[:1])
    return _cross_validate(fold, best.basis.extended(problem), strengths)


def times(strength: Strength, factor: float) -> Strength:
    """Return a multiple of a strength."""
    return tuple(each * factor for each in strength)


def _cross_validate(problem: Problem, basis: Basis, strengths: Sequence[Strength]) -> Trial:
    """Measure one basis on held-out rows, and keep the best strength, of each label its own."""
    scores, losses = _path(problem, basis, strengths)
    least, best = losses.min(dim=0)
    chosen = scores.gather(0, best.expand_as(scores[:1]))[0].numpy()
    grid = torch.tensor(strengths).expand(-1, len(best))
    strength = tuple(grid.gather(0, best.unsqueeze(0))[0].tolist())
    held_out = HeldOut(problem.held_out_rows(), chosen)
    accuracy = accuracy_of(problem, chosen, held_out.rows)
    return Trial(basis, strength, float(least.sum()), accuracy, held_out)


def _path(problem: Problem, basis: Basis, strengths: Sequence[Strength]) -> tuple[Tensor, Tensor]:
    """Return scores and losses of the held-out rows at each strength, until all losses increase.

    Each strength starts from the solution of the one before it (Friedman, Hastie and Tibshirani,
    "Regularization paths for generalized linear models via coordinate descent", 2010).

    Returns:
        Scores, (strengths, images, classes), and mean losses, (strengths, 1) or, of independent
        labels, (strengths, classes).
    """
    truth, weights = problem.truth(), problem.fold_sample_weights()
    held_out = truth[problem.held_out_rows()]
    steps = effort_for(len(problem.targets), problem.classes).steps
    models, scores, losses = None, [], []
    for strength in strengths:
        models = fit_logistic(
            basis.space.inputs,
            truth,
            weights,
            torch.tensor([strength]).expand(len(problem.folds), -1),
            task=problem.task,
            spectrum=basis.space.spectrum,
            steps=steps,
            start=models,
        )
        scores.append(_held_out_scores(problem, basis.space.inputs, models))
        losses.append(mean_losses(problem.task, scores[-1], held_out))
        if len(losses) > 1 and (losses[-1] > losses[-2]).all():
            break
    return torch.stack(scores), torch.stack(losses)


def _held_out_scores(problem: Problem, inputs: Tensor, models: LogisticModels) -> Tensor:
    """Return the scores of the held-out rows, each by the model of its fold, (images, classes)."""
    parts = [
        inputs[held_out] @ models.weight[number] + models.bias[number]
        for number, (_, held_out) in enumerate(problem.folds)
    ]
    return torch.cat(parts)


def mean_losses(task: Task, scores: Tensor, truth: Tensor) -> Tensor:
    """Return the mean log loss of images, (1,), or that of each independent label, (classes,)."""
    losses, _ = task.loss_and_gradient(scores, truth)
    if task.activation == "softmax":
        losses = losses.sum(dim=1, keepdim=True)
    return losses.mean(dim=0)


def accuracy_of(problem: Problem, scores: Scores, rows: Rows) -> float:
    """Return the share of the given rows that are predicted correctly."""
    return float(problem.task.correct(scores, problem.targets[rows]).mean())


def _best_trial(trials: Sequence[Trial], features: str, kind: Kind) -> Trial:
    matching = [
        trial for trial in trials if (trial.basis.features, trial.basis.kind) == (features, kind)
    ]
    return min(matching, key=_log_loss)


def _log_loss(trial: Trial) -> float:
    return trial.log_loss
