"""Model selection on held-out images: features, kind of head, and regularisation strength.

Candidates are compared by their log loss on the held-out rows of a problem: the folds of a
cross-validation, or a validation part. Test images are never used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Rows, Scores
from headstart.heads.bases import Basis
from headstart.heads.fitted import StackModel, width_of
from headstart.heads.logistic import LogisticModels, fit_logistic
from headstart.heads.nearest import fit_nearest, nearest_model
from headstart.heads.problem import (
    EXACT_IMAGES,
    Candidate,
    HeadFit,
    HeldOut,
    Kind,
    Member,
    Problem,
    effort_for,
    few_images,
)
from headstart.heads.spaces import Space
from headstart.heads.stacking import MIN_SHARE, Average

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
    average: bool = False,
    seed: int = 0,
    exact: int = EXACT_IMAGES,
) -> HeadFit:
    """Compare every combination of columns and kinds, and fit the best on `problem.fitted_rows`.

    Args:
        problem: Features and targets.
        kinds: Kinds of heads to try.
        average: Average the candidates, see `stacking`, instead of choosing the best.
        seed: Random seed of the sample.
        exact: Maximum number of images on which candidates are compared; above it, a sample is
            used.
    """
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.take(sample)
    trials = compare_heads(small, kinds)
    exclusive = problem.task.activation == "softmax"  # Nearest means are of one class each.
    few = average and exclusive and sample is None
    few = few and few_images(len(problem.targets), problem.classes)
    nearest = _nearest_means(problem) if few else []
    kept, extra = _worth_keeping(small, trials, nearest) if average else (trials[:1], [])
    if sample is not None:
        share = len(small.fitted_rows) / len(problem.fitted_rows)
        kept = [_rescale_strength(trial, problem, share=share) for trial in kept]
    everything = len(problem.fitted_rows) == len(problem.targets)
    training = None if everything else problem.take(problem.fitted_rows)
    fits = [_final_fit(problem, training, trial, sample, seed, exact) for trial in kept] + extra
    fit = _averaged(problem, fits) if len(fits) > 1 else fits[0]
    rows = [trial.row() for trial in trials] + [_nearest_row(problem, each) for each in nearest]
    return replace(fit, candidates=_table(problem, rows, fit) if average else tuple(rows))


def compare_heads(problem: Problem, kinds: Sequence[Kind]) -> list[Trial]:
    """Return the best trial of every combination of columns and kinds, best first."""
    trials = _first_trials(problem, kinds)
    best_features = min(trials, key=_log_loss).basis.features
    for kind in kinds:
        trials += _refine(problem, _best_trial(trials, best_features, kind))
    names = {(trial.basis.features, trial.basis.kind) for trial in trials}
    return sorted((_best_trial(trials, *name) for name in sorted(names)), key=_log_loss)


def _nearest_means(problem: Problem) -> list[HeadFit]:
    """Fit nearest-mean heads, which have nothing to choose and so err less with few images."""
    fits = [fit_nearest(problem, features) for features in problem.columns]
    return [replace(fit, members=(Member(fit.features, "nearest"),)) for fit in fits]


def _nearest_row(problem: Problem, fit: HeadFit) -> Candidate:
    """Return a nearest-mean head as a row of the table; its log loss is that of the calibrated."""
    held_out = _scores(fit)
    temperature = problem.task.temperature(held_out.logits, problem.targets[held_out.rows])
    scores = np.asarray(held_out.logits / np.asarray(temperature), dtype=np.float32)
    calibrated = HeldOut(held_out.rows, scores)
    return _candidate(problem, replace(fit, held_out=calibrated))


def _worth_keeping(
    problem: Problem, trials: Sequence[Trial], nearest: Sequence[HeadFit]
) -> tuple[list[Trial], list[HeadFit]]:
    """Return the candidates with a share that is worth the time to fit them, largest first."""
    held_out = [trial.held_out for trial in trials] + [_scores(fit) for fit in nearest]
    shares = _average(problem, held_out).shares
    order = [number for number in np.argsort(-shares, kind="stable") if shares[number] >= MIN_SHARE]
    first = len(trials)
    return (
        [trials[number] for number in order if number < first],
        [nearest[number - first] for number in order if number >= first],
    )


def _table(problem: Problem, rows: Sequence[Candidate], fit: HeadFit) -> tuple[Candidate, ...]:
    """Return the table of candidates with their shares, what was fitted first."""
    shares: dict[tuple[str, str], float] = {
        (member.features, member.kind): member.share for member in fit.members
    }
    rows = [
        replace(row, share=shares.get((row.features, row.head), 0.0))
        for row in sorted(rows, key=lambda row: row.log_loss)
    ]
    if len(fit.members) > 1:
        return (_candidate(problem, fit), *rows)
    return tuple(sorted(rows, key=lambda row: -(row.share or 0)))


def _scores(fit: HeadFit) -> HeldOut:
    assert fit.held_out is not None
    return fit.held_out


def _average(problem: Problem, held_out: Sequence[HeldOut]) -> Average:
    targets = problem.targets[held_out[0].rows]
    return Average.of([each.logits for each in held_out], targets, problem.task)


def _averaged(problem: Problem, fits: Sequence[HeadFit]) -> HeadFit:
    """Average candidates that are fitted and have scores of the same held-out images."""
    held_out = [_scores(fit) for fit in fits]
    average = _average(problem, held_out)
    members = tuple(
        replace(fit.members[0], share=float(share), temperature=temperature)
        for fit, share, temperature in zip(fits, average.shares, average.temperatures, strict=True)
    )
    scores = HeldOut(held_out[0].rows, average.scores)
    model = average.model([fit.head for fit in fits])
    return HeadFit(model, scores, _widest(fits), members=members)


def _widest(fits: Sequence[HeadFit]) -> str:
    """Return the features that include those of all fits."""
    return max(fits, key=lambda fit: width_of(fit.head)).features


def _final_fit(
    problem: Problem,
    training: Problem | None,
    trial: Trial,
    sample: Rows | None,
    seed: int,
    exact: int,
) -> HeadFit:
    """Fit a candidate, with scores of the held-out images.

    Args:
        problem: All images.
        training: The images that heads learn from; None if these are all.
        trial: The candidate, extended to all images.
        sample: Indices of a kernel's landmark images; None for all images.
        seed: As in `select_head`.
        exact: As in `select_head`.
    """
    features = trial.basis.features
    member = Member(features, trial.basis.kind, trial.strength, trial.basis.width)
    if training is None:
        head = trial.basis.fit(problem, trial.strength, sample)
        return HeadFit(head, trial.held_out, features, members=(member,))
    fit = _refit(training, member, seed=seed, exact=exact)
    return replace(fit, held_out=_held_out(problem, fit))


def _held_out(problem: Problem, fit: HeadFit) -> HeldOut:
    """Return the scores of the held-out rows by a head that was not fitted on them."""
    rows = problem.held_out_rows()
    columns = problem.features[rows, problem.columns[fit.features]]
    return HeldOut(rows, fit.head.logits(columns))


def refit_heads(
    problem: Problem, members: Sequence[Member], *, seed: int = 0, exact: int = EXACT_IMAGES
) -> HeadFit:
    """Fit heads with known hyperparameters and shares on all images, without cross-validation.

    Args:
        problem: Features and targets.
        members: The members of a fit by `select_head` on other features of the same images.
        seed: As in `select_head`.
        exact: As in `select_head`.
    """
    fits = [_refit(problem, member, seed=seed, exact=exact) for member in members]
    if len(fits) == 1:
        return fits[0]
    model = StackModel(
        tuple(fit.head for fit in fits),
        tuple(member.share for member in members),
        tuple(member.temperature for member in members),
        problem.task.activation,
    )
    return HeadFit(model, None, _widest(fits), members=tuple(members))


def _refit(problem: Problem, member: Member, *, seed: int, exact: int) -> HeadFit:
    if member.kind == "nearest":
        rows = np.arange(len(problem.targets))
        model = nearest_model(problem, member.features, rows)
        return HeadFit(model, None, member.features, members=(member,))
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.take(sample)
    standardised = small.standardised(small.columns[member.features])
    products = standardised.inner_products()
    basis = Basis.of(member.features, member.kind, standardised, products, member.width)
    if sample is not None:
        basis = basis.extended(problem)
    head = basis.fit(problem, member.strength, sample)
    return HeadFit(head, None, member.features, members=(member,))


def best_fit(problem: Problem, fits: Sequence[HeadFit]) -> HeadFit:
    """Return the fit with the highest held-out accuracy, with all fits as candidates.

    For heads whose uncalibrated scores are not log probabilities.
    """
    ranked = sorted(
        ((_candidate(problem, fit), fit) for fit in fits), key=lambda pair: -pair[0].accuracy
    )
    return replace(ranked[0][1], candidates=tuple(candidate for candidate, _ in ranked))


def _candidate(problem: Problem, fit: HeadFit) -> Candidate:
    held_out = _scores(fit)
    logits, rows = held_out.logits, held_out.rows
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
