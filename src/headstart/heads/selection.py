"""Model selection on held-out images: features, kind of head, and regularisation strength.

Candidates are compared by their log loss on the held-out rows of a problem: the folds of a
cross-validation, or a validation part. Test images are never used.
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
    HeadFit,
    HeldOut,
    Hyperparameters,
    Kind,
    Problem,
    effort_for,
)
from headstart.heads.spaces import Space

# Powers of ten first, then half steps around the best.
_STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_NEARBY = (10**0.5, 1.0, 10**-0.5)


@dataclass(frozen=True)
class Trial:
    """A candidate, measured on held-out images.

    Attributes:
        basis: The basis of the logistic regression.
        strength: The best regularisation strength.
        log_loss: Log loss on held-out images at that strength.
        accuracy: Accuracy on held-out images at that strength.
        held_out: Out-of-fold scores.
    """

    basis: Basis
    strength: float
    log_loss: float
    accuracy: float
    held_out: HeldOut

    def row(self) -> Candidate:
        """Return the trial as a row of the table."""
        features, kind = self.basis.features, self.basis.kind
        return Candidate(features, kind, self.log_loss, self.accuracy, len(self.held_out.rows))


def select_head(
    problem: Problem,
    kinds: Sequence[Kind] = ("linear", "kernel"),
    *,
    seed: int = 0,
    exact: int = EXACT_IMAGES,
) -> HeadFit:
    """Compare every combination of columns and kinds, and fit the best on `problem.fitted_rows`.

    Args:
        problem: Features and targets.
        kinds: Kinds of heads to try.
        seed: Random seed of the sample.
        exact: Maximum number of images on which candidates are compared; above it, a sample is
            used.
    """
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.take(sample)
    trials = _first_trials(small, kinds)
    best_features = min(trials, key=_log_loss).basis.features
    for kind in kinds:
        trials += _refine(small, _best_trial(trials, best_features, kind))
    best = min(trials, key=_log_loss)
    names = {(trial.basis.features, trial.basis.kind) for trial in trials}
    rows = [_best_trial(trials, *name) for name in sorted(names)]
    table = tuple(trial.row() for trial in sorted(rows, key=_log_loss))
    if sample is not None:
        share = len(small.fitted_rows) / len(problem.fitted_rows)
        best = _rescale_strength(best, problem, share=share)
    hyperparameters = Hyperparameters(best.basis.kind, best.strength, best.basis.width)
    fitted, features = problem.fitted_rows, best.basis.features
    if len(fitted) == len(problem.targets):
        head = best.basis.fit(problem, best.strength, sample)
        return HeadFit(head, best.held_out, features, table, hyperparameters)
    part = {features: problem.columns[features]}
    training = replace(problem, columns=part).take(fitted)
    fit = refit_head(training, hyperparameters, seed=seed, exact=exact)
    return replace(fit, held_out=_held_out(problem, fit), candidates=table)


def _held_out(problem: Problem, fit: HeadFit) -> HeldOut:
    """Return the scores of the held-out rows by a head that was not fitted on them."""
    rows = problem.held_out_rows()
    columns = problem.features[rows, problem.columns[fit.features]]
    return HeldOut(rows, fit.head.logits(columns))


def refit_head(
    problem: Problem, hyperparameters: Hyperparameters, *, seed: int = 0, exact: int = EXACT_IMAGES
) -> HeadFit:
    """Fit a head with known hyperparameters on all images, without cross-validation.

    Args:
        problem: Problem with a single kind of features.
        hyperparameters: The result of `select_head` on other features of the same images.
        seed: As in `select_head`.
        exact: As in `select_head`.
    """
    (features,) = problem.columns
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.take(sample)
    standardised = small.standardised(small.columns[features])
    products = standardised.inner_products()
    kind, width = hyperparameters.kind, hyperparameters.width
    basis = Basis.of(features, kind, standardised, products, width)
    if sample is not None:
        basis = basis.extended(problem)
    head = basis.fit(problem, hyperparameters.strength, sample)
    return HeadFit(head, None, features, hyperparameters=hyperparameters)


def best_fit(problem: Problem, fits: Sequence[HeadFit]) -> HeadFit:
    """Return the fit with the highest held-out accuracy, with all fits as candidates.

    For heads whose uncalibrated scores are not log probabilities.
    """
    ranked = sorted(
        ((_candidate(problem, fit), fit) for fit in fits), key=lambda pair: -pair[0].accuracy
    )
    return replace(ranked[0][1], candidates=tuple(candidate for candidate, _ in ranked))


def _candidate(problem: Problem, fit: HeadFit) -> Candidate:
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
            trials.append(_cross_validate(problem, basis, _STRENGTHS))
    return trials


def _refine(problem: Problem, best: Trial) -> list[Trial]:
    """Try strengths between the powers of ten and, for a kernel, other widths."""
    strengths = [best.strength * factor for factor in _NEARBY]
    basis, bases = best.basis, [best.basis]
    if basis.kind == "kernel":
        widths = effort_for(len(problem.targets), problem.classes).widths
        bases += [
            Basis.of(basis.features, basis.kind, basis.standardised, basis.products, width)
            for width in widths
        ]
    return [_cross_validate(problem, basis, strengths) for basis in bases]


def _rescale_strength(best: Trial, problem: Problem, *, share: float) -> Trial:
    """Extend the best trial from a sample to all images.

    More images need less regularisation. The strength is chosen on one fold; `share` is the share
    of the training images that is in the sample.
    """
    strengths = [best.strength * share**power for power in (0.0, 0.5, 1.0)]
    fold = replace(problem, folds=problem.folds[:1])
    return _cross_validate(fold, best.basis.extended(problem), strengths)


def _cross_validate(problem: Problem, basis: Basis, strengths: Sequence[float]) -> Trial:
    """Measure one basis at several strengths on held-out rows and keep the best strength."""
    held_out = problem.held_out_rows()
    models = fit_logistic(
        basis.space.inputs,
        problem.truth(),
        problem.fold_sample_weights().repeat(1, len(strengths)),
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
    """Return the out-of-fold scores at each strength, (strengths, images, classes)."""
    folds = len(problem.folds)
    weight = models.weight.view(strengths, folds, *models.weight.shape[1:])
    bias = models.bias.view(strengths, folds, *models.bias.shape[1:])
    parts = [
        space.inputs[held_out] @ weight[:, number] + bias[:, number]
        for number, (_, held_out) in enumerate(problem.folds)
    ]
    return torch.cat(parts, dim=1)


def _losses(problem: Problem, logits: Tensor, rows: Rows) -> Tensor:
    """Return the mean log loss of the given rows at each strength."""
    losses, _ = problem.task.loss_and_gradient(logits, problem.truth()[rows])
    return losses.sum(dim=2).mean(dim=1)


def _accuracy(problem: Problem, logits: Scores, rows: Rows) -> float:
    return float(problem.task.correct(logits, problem.targets[rows]).mean())


def _best_trial(trials: Sequence[Trial], features: str, kind: Kind) -> Trial:
    matching = [
        trial for trial in trials if (trial.basis.features, trial.basis.kind) == (features, kind)
    ]
    return min(matching, key=_log_loss)


def _log_loss(trial: Trial) -> float:
    return trial.log_loss
