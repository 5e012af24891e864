"""Logistic regression for many folds, labels and regularisation strengths in one fit.

All problems share each matrix product, so 25 of them cost little more than one. A diagonal
preconditioner from the spectrum of the data brings L-BFGS to a useful solution in about 20 steps
instead of hundreds.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.heads.lbfgs import minimise
from headstart.task import Task

# About a millisecond on one core.
_MIN_PARALLEL_WORK = 30_000_000

# Columns whose weights would be shrunk to less than this share are left out.
_NEGLIGIBLE = 0.01


def limit_threads(work: int) -> AbstractContextManager[None]:
    """Use a single thread for small problems.

    Threads wait for each other after each tiny operation; on a busy machine that made a fit take
    25 times as long.

    Args:
        work: Multiplications per step.
    """
    return one_thread() if work < _MIN_PARALLEL_WORK else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Use a single thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class LogisticModels:
    """Solutions of several problems on the same inputs.

    Attributes:
        weight: Shape (problems, columns, classes).
        bias: Shape (problems, 1, classes).
    """

    weight: Tensor
    bias: Tensor

    def logits(self, inputs: Tensor) -> Tensor:
        """Return scores of shape (problems, images, classes) for inputs (images, columns)."""
        return inputs @ self.weight + self.bias


@dataclass(frozen=True)
class LogisticLoss:
    """The regularised log loss of several problems, for `minimise`.

    Its parameters are the preconditioned weights of each column, then the biases: (columns + 1,
    problems * classes). Where labels are independent, each of them is a problem of its own.

    Attributes:
        inputs: Shape (images, columns).
        truth: Encoded targets, shape (images, 1, classes).
        sample_weights: Shape (images, problems, 1).
        strengths: Shape (problems * classes,).
        scale: The preconditioner, shape (columns, problems * classes).
        task: The kind of label.
    """

    inputs: Tensor
    truth: Tensor
    sample_weights: Tensor
    strengths: Tensor
    scale: Tensor
    task: Task

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective.evaluate`."""
        images, problems = self.sample_weights.shape[:2]
        weight, bias = self.scale * parameters[:-1], parameters[-1]
        logits = torch.addmm(bias, self.inputs, weight).view(images, problems, -1)
        losses, error = self.task.loss_and_gradient(logits, self.truth)
        error = (error * self.sample_weights).view(images, -1)
        gradient = torch.addmm(self.strengths * weight, self.inputs.T, error) * self.scale
        value = (losses * self.sample_weights).sum(dim=0).flatten()
        value = value + 0.5 * self.strengths * weight.square().sum(dim=0)
        return self.of_problems(value), torch.cat([gradient, error.sum(dim=0, keepdim=True)])

    def dot(self, first: Tensor, second: Tensor) -> Tensor:
        """See `Objective.dot`."""
        return self.of_problems((first * second).sum(dim=0))

    def of_problems(self, values: Tensor) -> Tensor:
        """Return the sum of values over the columns of each problem, repeated for each of them."""
        if self.task.activation == "sigmoid":
            return values
        columns = values.view(self.sample_weights.shape[1], -1)
        return columns.sum(dim=1, keepdim=True).expand_as(columns).flatten()


def fit_logistic(
    inputs: Tensor,
    truth: Tensor,
    sample_weights: Tensor,
    strengths: Tensor,
    *,
    task: Task,
    spectrum: Tensor,
    steps: int,
    start: LogisticModels | None = None,
) -> LogisticModels:
    """Minimise, for each problem, sum of sample weight * log loss + strength / 2 * |weight|^2.

    Args:
        inputs: Shape (images, columns).
        truth: Encoded targets, shape (images, classes); classes may be without images.
        sample_weights: Weight of each image in each problem, shape (images, problems); columns
            sum to 1, and held-out images have weight 0.
        strengths: Regularisation of each problem, shape (problems, 1), or of each of its labels,
            (problems, classes). The bias is not regularised.
        task: The kind of label, which defines the loss.
        spectrum: Mean square of each column, shape (columns,). The preconditioner is best for
            uncorrelated columns, as in `spaces`; others need more steps.
        steps: Maximum number of L-BFGS steps.
        start: Solutions of similar problems; by default, all weights are 0.

    The preconditioner follows from a bound: the Hessian of the log loss is at most half the
    covariance of the inputs (Böhning, "Multinomial logistic regression algorithm", 1992).
    """
    problems, classes = len(strengths), truth.shape[1]
    strengths = strengths.expand(problems, classes).flatten()
    used = 0.25 * spectrum >= _NEGLIGIBLE * strengths.min()
    scale = torch.rsqrt(0.25 * spectrum[used].unsqueeze(1) + strengths)
    loss = LogisticLoss(
        inputs if used.all() else inputs[:, used],
        truth.to(inputs.dtype).unsqueeze(1),
        sample_weights.unsqueeze(2),
        strengths,
        scale,
        task,
    )
    parameters = torch.zeros(len(scale) + 1, problems * classes, dtype=inputs.dtype)
    if start is not None:
        parameters[:-1] = start.weight[:, used].permute(1, 0, 2).reshape(scale.shape) / scale
        parameters[-1] = start.bias.flatten()
    with limit_threads(loss.inputs.numel() * problems * classes):
        parameters = minimise(loss, parameters, steps=steps)
    found = (scale * parameters[:-1]).view(len(scale), problems, classes)
    weight = torch.zeros(problems, inputs.shape[1], classes, dtype=inputs.dtype)
    weight[:, used] = found.permute(1, 0, 2)
    return LogisticModels(weight, parameters[-1].view(problems, 1, classes))
