"""Model selection on held-out images: features, kind of head, and regularisation strength.

Candidates are compared by their log loss on the held-out rows of a problem: the folds of a
cross-validation, or a validation part. Test images are never used.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from headstart.arrays import Rows
from headstart.heads.bases import Basis
from headstart.heads.fitted import StackModel, width_of
from headstart.heads.nearest import fit_nearest, nearest_model
from headstart.heads.problem import (
    EXACT_IMAGES,
    Candidate,
    HeadFit,
    HeldOut,
    Kind,
    Member,
    Problem,
    Strength,
    few_images,
)
from headstart.heads.stacking import MIN_SHARE, Average
from headstart.heads.trials import (
    Trial,
    accuracy_of,
    compare_heads,
    mean_losses,
    rescale_strength,
)


def select_head(
    problem: Problem,
    kinds: Sequence[Kind] = ("linear", "kernel"),
    *,
    strengths: Sequence[Strength] | None = None,
    average: bool = False,
    seed: int = 0,
    exact: int = EXACT_IMAGES,
) -> HeadFit:
    """Compare every combination of columns and kinds, and fit the best on `problem.fitted_rows`.

    Args:
        problem: Features and targets.
        kinds: Kinds of heads to try.
        strengths: Regularisation strengths to try, from strong to weak; by default, all.
        average: Average the candidates, see `stacking`, instead of choosing the best.
        seed: Random seed of the sample.
        exact: Maximum number of images on which candidates are compared; above it, a sample is
            used.
    """
    sample = problem.sample(exact, seed=seed)
    small = problem if sample is None else problem.take(sample)
    trials = compare_heads(small, kinds, strengths)
    exclusive = problem.task.activation == "softmax"  # Nearest means are of one class each.
    few = average and exclusive and sample is None
    few = few and few_images(len(problem.targets), problem.classes)
    nearest = _nearest_means(problem) if few else []
    kept, extra = _worth_keeping(small, trials, nearest) if average else (trials[:1], [])
    if sample is not None:
        share = len(small.fitted_rows) / len(problem.fitted_rows)
        kept = [rescale_strength(trial, problem, share=share) for trial in kept]
    everything = len(problem.fitted_rows) == len(problem.targets)
    training = None if everything else problem.take(problem.fitted_rows)
    fits = [_final_fit(problem, training, trial, sample, seed, exact) for trial in kept] + extra
    fit = _averaged(problem, fits) if len(fits) > 1 else fits[0]
    rows = [trial.row() for trial in trials] + [_nearest_row(problem, each) for each in nearest]
    return replace(fit, candidates=_table(problem, rows, fit) if average else tuple(rows))


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
    loss = float(mean_losses(problem.task, torch.from_numpy(logits), problem.truth()[rows]).sum())
    accuracy = accuracy_of(problem, logits, rows)
    return Candidate(fit.features, fit.head.kind, loss, accuracy, len(rows))
