"""Fit a linear head to features that do not fit in memory, by a few passes over blocks of them.

A random sample is fitted exactly. Then the sample stands for the curvature of the loss, and all
images for its gradient: each pass computes the gradient of all images at the current weights, and
the loss of the sample, tilted so that its gradient there is that of all images, is minimised. Two
passes come as near to the fit on all images as that is to the truth. The method is that of Jordan,
Lee and Yang, "Communication-efficient distributed statistical inference" (2019).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Features, Floats, Rows, Targets
from headstart.data.splits import held_out_groups, stratified_sample
from headstart.heads.fitted import LinearModel
from headstart.heads.lbfgs import minimise
from headstart.heads.logistic import LogisticLoss, limit_threads, one_thread
from headstart.heads.problem import (
    EXACT_IMAGES,
    Candidate,
    HeadFit,
    HeldOut,
    Member,
    Problem,
    Strength,
)
from headstart.heads.spaces import Space, linear_space, standardise
from headstart.heads.trials import compare_heads, mean_losses, times
from headstart.task import Task
from headstart.watching import Progress, no_progress

Blocks = Iterator[tuple[Rows, Features]]
Read = Callable[[Rows, slice], Blocks]

PASSES = 2
"""Passes over all training images. See docs/decisions/streaming-head.md."""

_HELD_OUT, _MAX_HELD_OUT = 0.1, 20_000
# Images in the sample, and numbers per image that its fit may have: 256 MB in float32.
_MAX_SAMPLE, _SAMPLE = 25_000, 64_000_000
_POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LENGTHS = (0.25, 0.5, 1.0)
_FIRST_STEPS, _STEPS = 30, 15


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
class _Parts:
    """Rows to learn from, a sample of them, and held-out rows; the last two are in memory."""

    fitted: Rows
    sample: Rows
    held_out: Rows

    @property
    def in_memory(self) -> Rows:
        """The sample, then the held-out rows."""
        return np.concatenate([self.sample, self.held_out])


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
class _Point:
    """Parameters of the fits at all strengths, see `LogisticLoss`, and their held-out losses.

    Attributes:
        parameters: Shape (columns + 1, strengths * classes).
        losses: Shape (strengths * classes,); those of classes that exclude each other are equal.
    """

    parameters: Tensor
    losses: Tensor

    def or_better(self, other: Self) -> Self:
        """Return whichever parameters have the lower loss, for each problem by itself."""
        better = other.losses < self.losses
        parameters = torch.where(better, other.parameters, self.parameters)
        return replace(self, parameters=parameters, losses=self.losses.minimum(other.losses))


@dataclass(frozen=True)
class _Fit:
    """The fits at several strengths, on the principal axes of a sample.

    Attributes:
        problem: The problem.
        rows: The rows to learn from.
        strengths: The strengths of the regularisation.
        shares: The weight of each image in the loss, (images,).
        mean: Mean of each column of the sample, (width,).
        scale: Divisor of each column, (width,).
        space: The principal axes of the standardised sample.
        loss: The loss of the sample.
        held_out: Standardised features of the held-out images.
        truth: Their encoded labels.
    """

    problem: StreamedProblem
    rows: Rows
    strengths: Sequence[Strength]
    shares: Tensor
    mean: Tensor
    scale: Tensor
    space: Space
    loss: LogisticLoss
    held_out: Tensor
    truth: Tensor

    def start(self) -> _Point:
        """Fit the sample."""
        zeros = torch.zeros(len(self.loss.scale) + 1, self.loss.scale.shape[1])
        return self.point(minimise(self.loss, zeros, steps=_FIRST_STEPS))

    def improve(self, point: _Point, advance: Callable[[int], None]) -> _Point:
        """Move towards the minimum for all images, by one pass over them."""
        start = point.parameters
        tilt = self._gradient(start, advance) - self.loss.evaluate(start)[1]
        step = minimise(_TiltedLoss(self.loss, tilt), start, steps=_STEPS) - start
        for length in _LENGTHS:
            point = point.or_better(self.point(start + length * step))
        return point

    def weights(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights of standardised features and biases, (…, strengths * classes)."""
        return self.space.projection @ (self.loss.scale * parameters[:-1]), parameters[-1]

    def point(self, parameters: Tensor) -> _Point:
        """Measure parameters on the held-out images."""
        losses, _ = self._losses(self.held_out, self.truth, *self.weights(parameters))
        return _Point(parameters, self.loss.of_problems(losses.mean(dim=0).flatten()))

    def _gradient(self, parameters: Tensor, advance: Callable[[int], None]) -> Tensor:
        """Return the gradient of the loss of all images."""
        problem, mean, scale = self.problem, self.mean.unsqueeze(1), self.scale.unsqueeze(1)
        # Weights are standardised here, instead of each block of features.
        weight, bias = self.weights(parameters)
        weight = weight / scale
        bias = bias - (mean * weight).sum(dim=0)
        total = torch.zeros(len(mean) + 1, parameters.shape[1], dtype=torch.float64)
        with one_thread():  # The next block is read on another one.
            for rows, block in problem.read(self.rows):
                features = torch.from_numpy(block)
                truth = problem.task.encode(problem.targets[rows], problem.classes)
                _, error = self._losses(features, truth, weight, bias)
                error = error.flatten(1) * self.shares[rows].unsqueeze(1)
                total[:-1] += features.T @ error
                total[-1] += error.sum(dim=0)
                advance(len(rows))
        standardised = (total[:-1] - mean * total[-1]) / scale
        rotated = self.space.projection.T @ standardised.float()
        penalty = self.loss.strengths * self.loss.scale * parameters[:-1]
        return torch.cat([self.loss.scale * (rotated + penalty), total[-1:].float()])

    def _losses(
        self, inputs: Tensor, truth: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return log losses and their gradients by scores, (images, strengths, classes)."""
        scores = torch.addmm(bias, inputs, weight).view(len(inputs), -1, self.problem.classes)
        return self.problem.task.loss_and_gradient(scores, truth.unsqueeze(1))


def fit_streamed(
    problem: StreamedProblem,
    *,
    seed: int = 0,
    passes: int = PASSES,
    progress: Progress = no_progress,
) -> HeadFit:
    """Fit a linear head with little memory, whatever the number of images.

    The regularisation and the length of each step are chosen on held-out groups, from which the
    head does not learn. At worst, the result is the fit to the sample.

    Args:
        problem: Features and targets.
        seed: Seed of the sample and of the held-out groups.
        passes: Passes over all images.
        progress: Called with the number of rows that were read, and the total.

    Raises:
        DataError: There are too few groups.
    """
    fitted, held_out = problem.split(seed)
    fit = _prepared(problem, _Parts(fitted, problem.sample(fitted, seed=seed), held_out), seed)
    read = 0

    def advance(images: int) -> None:
        nonlocal read
        read += images
        progress(read, passes * len(fitted))

    with limit_threads(fit.loss.inputs.numel() * len(fit.strengths) * problem.classes):
        point = fit.start()
        for _ in range(passes):
            point = fit.improve(point, advance)
    return _head_fit(fit, point, held_out)


def _strengths(
    problem: StreamedProblem, features: Features, parts: _Parts, seed: int
) -> Sequence[Strength]:
    """Return strengths for all images, from the best one for some images of the sample.

    More images need less regularisation: the strength is divided by powers of how many more they
    are.
    """
    rows, count = np.arange(len(features)), len(parts.sample)
    whole = Problem(
        features,
        {problem.name: slice(0, features.shape[1])},
        problem.targets[parts.in_memory],
        problem.classes,
        [(rows[:count], rows[count:])],
        problem.task,
        problem.balanced,
        problem.column_weights,
    )
    compared = whole.sample(EXACT_IMAGES, seed=seed)
    part = whole if compared is None else whole.take(compared)
    best = compare_heads(part, ["linear"])[0]
    share = len(part.fitted_rows) / len(parts.fitted)
    return [times(best.strength, share**power) for power in _POWERS]


def _prepared(problem: StreamedProblem, parts: _Parts, seed: int) -> _Fit:
    """Return what passes need; the features of the sample themselves are not kept."""
    features = problem.gather(parts.in_memory)
    strengths = _strengths(problem, features, parts, seed)
    task, classes, targets = problem.task, problem.classes, problem.targets
    fitted, sample, count = parts.fitted, parts.sample, len(parts.sample)
    standardised = standardise(
        torch.from_numpy(features[:count]), torch.from_numpy(problem.column_weights)
    )
    few = count < features.shape[1]
    products = standardised.inner_products() if few else torch.empty(0)
    space = linear_space(standardised, products)
    penalties = torch.tensor(strengths).expand(-1, classes).flatten()
    weights = task.sample_weights(targets[sample], classes, balanced=problem.balanced)
    loss = LogisticLoss(
        space.inputs,
        task.encode(targets[sample], classes).unsqueeze(1),
        torch.from_numpy(weights)[:, None, None].expand(-1, len(strengths), 1),
        penalties,
        torch.rsqrt(0.25 * space.spectrum.unsqueeze(1) + penalties),
        task,
    )
    shares = torch.zeros(len(targets))
    shares[fitted] = torch.from_numpy(
        task.sample_weights(targets[fitted], classes, balanced=problem.balanced)
    )
    mean, scale = standardised.mean, standardised.scale
    scored = (torch.from_numpy(features[count:]) - mean) / scale
    truth = task.encode(targets[parts.held_out], classes)
    return _Fit(problem, fitted, strengths, shares, mean, scale, space, loss, scored, truth)


def _head_fit(fit: _Fit, point: _Point, held_out: Rows) -> HeadFit:
    """Return the head with the best strength, of each label if they are independent."""
    problem, classes = fit.problem, fit.problem.classes
    best = point.losses.view(-1, classes).argmin(dim=0)
    columns = best * classes + torch.arange(classes)
    weight, bias = (part[..., columns].numpy() for part in fit.weights(point.parameters))
    penalties = fit.loss.strengths[columns].tolist()
    head = LinearModel(fit.mean.numpy(), fit.scale.numpy(), weight, bias)
    scores = np.asarray(fit.held_out.numpy() @ weight + bias)
    loss = float(mean_losses(problem.task, torch.from_numpy(scores), fit.truth).sum())
    accuracy = float(problem.task.correct(scores, problem.targets[held_out]).mean())
    return HeadFit(
        head,
        HeldOut(held_out, scores),
        problem.name,
        candidates=(Candidate(problem.name, "linear", loss, accuracy, len(held_out)),),
        members=(Member(problem.name, "linear", tuple(penalties[: len(fit.strengths[0])])),),
        why="the features do not fit in memory, so the head was streamed",
        folds=[(fit.rows, held_out)],
    )
