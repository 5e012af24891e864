"""Fit a linear head to features that do not fit in memory, by a few passes over blocks of them.

A random sample is fitted exactly. Then the sample stands for the curvature of the loss, and all
images for its gradient: each pass computes the gradient of all images at the current weights, and
the loss of the sample, tilted so that its gradient there is that of all images, is minimised. Two
passes come as near to the fit on all images as that is to the truth. The method is that of Jordan,
Lee and Yang, "Communication-efficient distributed statistical inference" (2019).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Features, Floats, Rows, Scores, Targets
from headstart.data.splits import held_out_groups, stratified_sample
from headstart.heads.fitted import LinearModel
from headstart.heads.lbfgs import minimise
from headstart.heads.logistic import LogisticLoss
from headstart.heads.problem import (
    EXACT_IMAGES,
    Candidate,
    HeadFit,
    HeldOut,
    Member,
    Problem,
    Strength,
)
from headstart.heads.spaces import Space, Standardised, linear_space, standardise
from headstart.heads.trials import compare_heads, mean_losses, rescale_strength, times
from headstart.task import Task

Blocks = Iterator[tuple[Rows, Features]]

PASSES = 2
"""Passes over all training images. See docs/decisions/streaming-head.md."""

_HELD_OUT, _MAX_HELD_OUT = 0.1, 20_000
# Numbers that the sample may have: 256 MB in float32, of which a fit takes about five times as much.
_SAMPLE = 64_000_000
_MAX_SAMPLE = 50_000
_POWERS = (0.0, 0.5, 1.0)
_FIRST_STEPS, _STEPS = 100, 50


@dataclass(frozen=True)
class StreamedProblem:
    """A classification problem on features that are read in blocks.

    Attributes:
        read: Yields some of the images' rows and their features, (images, width), in any order.
        targets: The label of each image, as the task encodes it.
        groups: Group of each image; a group is held out as a whole.
        classes: Number of classes.
        task: The kind of label.
        balanced: Whether to weight classes inversely to their frequency.
        column_weights: Weight of each column, (width,).
        name: The name of the features.
    """

    read: Callable[[Rows], Blocks]
    targets: Targets
    groups: Sequence[str]
    classes: int
    task: Task
    balanced: bool
    column_weights: Floats
    name: str

    def split(self, seed: int) -> tuple[Rows, Rows]:
        """Return the rows to learn from, and those that are held out."""
        share = min(_HELD_OUT, _MAX_HELD_OUT / len(self.targets))
        held_out = held_out_groups(self.groups, share, seed=seed)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def sample(self, rows: Rows, *, seed: int) -> Rows:
        """Draw a stratified sample of some rows, as large as memory allows."""
        numbers = len(self.column_weights) + len(_POWERS) * self.classes
        count = max(EXACT_IMAGES, min(_MAX_SAMPLE, _SAMPLE // numbers))
        chosen = stratified_sample(self.task.strata(self.targets[rows]), count, seed=seed)
        return rows if chosen is None else rows[chosen]

    def gather(self, rows: Rows) -> Features:
        """Return the features of some rows, in their order."""
        features = np.empty((len(rows), len(self.column_weights)), np.float32)
        place = np.full(len(self.targets), -1)
        place[rows] = np.arange(len(rows))
        for found, block in self.read(rows):
            features[place[found]] = block
        return features


@dataclass(frozen=True)
class _Models:
    """Linear models of standardised features, and how they do on the held-out rows.

    Attributes:
        weight: Shape (width, classes).
        bias: Shape (classes,).
        scores: Shape (held-out rows, classes).
        losses: Of all classes, (1,), or of each independent label, (classes,).
        strengths: Of each loss.
    """

    weight: Tensor
    bias: Tensor
    scores: Tensor
    losses: Tensor
    strengths: Tensor

    def or_better(self, other: "_Models") -> "_Models":
        """Return the models with the lower held-out loss, of each label if they are independent."""
        better = other.losses < self.losses
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Models(*(torch.where(better, new, old) for old, new in pairs))


@dataclass(frozen=True)
class _TiltedLoss:
    """The loss of a sample plus a linear function of the parameters, for `minimise`."""

    loss: LogisticLoss
    tilt: Tensor

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective.evaluate`."""
        value, gradient = self.loss.evaluate(parameters)
        return value + self.dot(self.tilt, parameters), gradient + self.tilt

    def dot(self, first: Tensor, second: Tensor) -> Tensor:
        """See `Objective.dot`."""
        return self.loss.dot(first, second)


@dataclass(frozen=True)
class _Fit:
    """The strengths that are fitted at once, on the principal axes of the sample.

    Attributes:
        problem: The problem.
        rows: The rows to learn from.
        standardised: The sample.
        space: Its principal axes.
        loss: Its loss.
        strengths: Those that are fitted.
    """

    problem: StreamedProblem
    rows: Rows
    standardised: Standardised
    space: Space
    loss: LogisticLoss
    strengths: Sequence[Strength]

    def weights(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights of standardised features and biases, (…, strengths * classes)."""
        return self.space.projection @ (self.loss.scale * parameters[:-1]), parameters[-1]

    def models(self, parameters: Tensor, held_out: Tensor, truth: Tensor) -> list[_Models]:
        """Return the models of each strength, measured on held-out standardised features."""
        weight, bias = self.weights(parameters)
        count, task = len(self.strengths), self.problem.task
        found = []
        for strength, w, b in zip(
            self.strengths, weight.chunk(count, 1), bias.chunk(count), strict=True
        ):
            scores = held_out @ w + b
            losses = mean_losses(task, scores, truth)
            found.append(_Models(w, b, scores, losses, torch.tensor(strength).expand_as(losses)))
        return found

    def gradient(self, parameters: Tensor, advance: Callable[[int], None]) -> Tensor:
        """Return the gradient of the loss of all images, in one pass over them."""
        problem, task = self.problem, self.problem.task
        weight, bias = self.weights(parameters)
        of_all = task.sample_weights(
            problem.targets[self.rows], problem.classes, balanced=problem.balanced
        )
        share = np.zeros(len(problem.targets), np.float32)
        share[self.rows] = of_all
        total = torch.zeros(len(weight) + 1, weight.shape[1], dtype=torch.float64)
        for rows, block in problem.read(self.rows):
            inputs = (torch.from_numpy(block) - self.standardised.mean) / self.standardised.scale
            truth = task.encode(problem.targets[rows], problem.classes).unsqueeze(1)
            scores = torch.addmm(bias, inputs, weight).view(len(rows), len(self.strengths), -1)
            _, error = task.loss_and_gradient(scores, truth)
            error = error.flatten(1) * torch.from_numpy(share[rows]).unsqueeze(1)
            total[:-1] += inputs.T @ error
            total[-1] += error.sum(dim=0)
            advance(len(rows))
        rotated = self.space.projection.T @ total[:-1].float()
        penalty = self.loss.strengths * self.loss.scale * parameters[:-1]
        return torch.cat([self.loss.scale * (rotated + penalty), total[-1:].float()])

    def step(self, parameters: Tensor, gradient: Tensor) -> Tensor:
        """Return parameters near the minimum for all images, whose gradient is given."""
        tilted = _TiltedLoss(self.loss, gradient - self.loss.evaluate(parameters)[1])
        return minimise(tilted, parameters, steps=_STEPS)


def fit_streamed(
    problem: StreamedProblem,
    *,
    seed: int = 0,
    passes: int = PASSES,
    progress: Callable[[int, int], None] | None = None,
) -> HeadFit:
    """Fit a linear head with little memory, whatever the number of images.

    The regularisation is chosen on held-out groups, from which the head does not learn, and the
    pass with the lowest loss on them is kept: at worst, that is the fit to the sample.

    Args:
        problem: Features and targets.
        seed: Seed of the sample and of the held-out groups.
        passes: Passes over all images.
        progress: Called with the number of rows that were read, and the total.
    """
    fitted, held_out = problem.split(seed)
    sample = problem.sample(fitted, seed=seed)
    rows, count = np.concatenate([sample, held_out]), len(sample)
    features = problem.gather(rows)
    strength = _strength_of_sample(problem, features, rows, count, seed)
    share = count / len(fitted)
    strengths = [times(strength, share**power) for power in _POWERS]
    fit, scored = _prepared(problem, fitted, features, problem.targets[sample], strengths)
    truth = problem.task.encode(problem.targets[held_out], problem.classes)
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        if progress:
            progress(done, passes * len(fitted))

    parameters = minimise(fit.loss, _zeros(fit.loss), steps=_FIRST_STEPS)
    best, *others = fit.models(parameters, scored, truth)
    for _ in range(passes):
        parameters = fit.step(parameters, fit.gradient(parameters, advance))
        others += fit.models(parameters, scored, truth)
    for other in others:
        best = best.or_better(other)
    return _head_fit(problem, fit, best, fitted, held_out)


def _zeros(loss: LogisticLoss) -> Tensor:
    return torch.zeros(len(loss.scale) + 1, loss.scale.shape[1])


def _strength_of_sample(
    problem: StreamedProblem, features: Features, rows: Rows, count: int, seed: int
) -> Strength:
    """Return the best strength for a fit to the sample, which are the first rows."""
    numbers = np.arange(len(rows))
    held = Problem(
        features,
        {problem.name: slice(0, features.shape[1])},
        problem.targets[rows],
        problem.classes,
        [(numbers[:count], numbers[count:])],
        problem.task,
        problem.balanced,
        problem.column_weights,
    )
    small = held.sample(EXACT_IMAGES, seed=seed)
    if small is None:
        return compare_heads(held, ["linear"])[0].strength
    part = held.take(small)
    share = len(part.fitted_rows) / count
    return rescale_strength(compare_heads(part, ["linear"])[0], held, share=share).strength


def _prepared(
    problem: StreamedProblem,
    rows: Rows,
    features: Features,
    targets: Targets,
    strengths: Sequence[Strength],
) -> tuple[_Fit, Tensor]:
    """Return what passes need, and the standardised features of the held-out rows, the last."""
    count, task, classes = len(targets), problem.task, problem.classes
    standardised = standardise(
        torch.from_numpy(features[:count]), torch.from_numpy(problem.column_weights)
    )
    scored = (torch.from_numpy(features[count:]) - standardised.mean) / standardised.scale
    wide = features.shape[1] > count
    products = standardised.inner_products() if wide else torch.empty(0)
    space = linear_space(standardised, products)
    regularisation = torch.tensor(strengths).expand(-1, classes).flatten()
    weights = task.sample_weights(targets, classes, balanced=problem.balanced)
    loss = LogisticLoss(
        space.inputs,
        task.encode(targets, classes).unsqueeze(1),
        torch.from_numpy(weights)[:, None, None].expand(-1, len(strengths), 1),
        regularisation,
        torch.rsqrt(0.25 * space.spectrum.unsqueeze(1) + regularisation),
        task,
    )
    return _Fit(problem, rows, standardised, space, loss, strengths), scored


def _head_fit(
    problem: StreamedProblem, fit: _Fit, best: _Models, fitted: Rows, held_out: Rows
) -> HeadFit:
    scores: Scores = best.scores.numpy()
    accuracy = float(problem.task.correct(scores, problem.targets[held_out]).mean())
    loss = float(best.losses.sum())
    head = LinearModel(
        fit.standardised.mean.numpy(),
        fit.standardised.scale.numpy(),
        best.weight.numpy(),
        best.bias.numpy(),
    )
    return HeadFit(
        head,
        HeldOut(held_out, scores),
        problem.name,
        candidates=(Candidate(problem.name, "linear", loss, accuracy, len(held_out)),),
        members=(Member(problem.name, "linear", tuple(best.strengths.tolist())),),
        folds=[(fitted, held_out)],
    )
