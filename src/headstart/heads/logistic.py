"""Logistic regression: many regularisation strengths and many folds in one fit.

All problems share every matrix product, so that 25 of them cost little more than one; and a
diagonal preconditioner from the data's own spectrum brings L-BFGS to a useful solution in about
20 steps, where the plain problem takes hundreds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.task import Task

# About a millisecond of one core.
_WORTH_THREADS = 30_000_000


@contextmanager
def suitable_threads(work: int) -> Iterator[None]:
    """Compute small problems on one thread.

    Several threads wait for each other after each tiny operation; on a machine that is busy with
    something else that took 25 times as long.

    Args:
        work: Multiplications in one step.
    """
    threads = torch.get_num_threads()
    if work < _WORTH_THREADS:
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


def fit_logistic(
    inputs: Tensor,
    truth: Tensor,
    shares: Tensor,
    strengths: Tensor,
    *,
    task: Task,
    spectrum: Tensor,
    steps: int,
) -> LogisticModels:
    """Minimise, for each problem, sum of share * log loss + strength / 2 * |weight|^2.

    Args:
        inputs: Shape (images, columns).
        truth: As the task encodes it, shape (images, classes); some may be without an image.
        shares: How much each image counts in each problem, shape (images, problems); columns sum
            to 1, and an image that is held out counts 0.
        strengths: Of the regularisation of each problem, shape (problems,). The bias is free.
        task: The kind of label, which has the loss.
        spectrum: Mean square of each column, shape (columns,). Exact steps need uncorrelated
            columns, as `spaces` gives them; others only need more steps.
        steps: Most steps of L-BFGS.

    The Hessian of the log loss is at most half the inputs' own covariance (Böhning, "Multinomial
    logistic regression algorithm", 1992), which makes the preconditioner.
    """
    (count, columns), classes = inputs.shape, truth.shape[1]
    problems = len(strengths)
    strength = strengths.view(problems, 1, 1)
    scale = torch.rsqrt(0.25 * spectrum.view(1, columns, 1) + strength)
    target, share = truth.to(inputs.dtype).unsqueeze(1), shares.unsqueeze(2)
    scaled = torch.zeros(problems, columns, classes, dtype=inputs.dtype, requires_grad=True)
    bias = torch.zeros(problems, 1, classes, dtype=inputs.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [scaled, bias],
        max_iter=steps,
        history_size=10,
        tolerance_grad=1e-5,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def loss_and_gradient() -> Tensor:
        weight = scale * scaled
        flat = weight.permute(1, 0, 2).reshape(columns, problems * classes)
        logits = (inputs @ flat).view(count, problems, classes) + bias.permute(1, 0, 2)
        losses, error = task.loss_and_gradient(logits, target)
        loss = (losses * share).sum() + 0.5 * (strength * weight**2).sum()
        error = error * share
        pull = (inputs.T @ error.view(count, problems * classes)).view(columns, problems, classes)
        scaled.grad = scale * (pull.permute(1, 0, 2) + strength * weight)
        bias.grad = error.sum(dim=0).unsqueeze(1)
        return loss

    with suitable_threads(inputs.numel() * problems * classes):
        step: Callable[[Callable[[], Tensor]], object] = optimiser.step
        step(loss_and_gradient)
    return LogisticModels((scale * scaled).detach(), bias.detach())
