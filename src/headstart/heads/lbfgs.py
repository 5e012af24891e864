"""L-BFGS for many independent problems at once.

The problems share each evaluation, and so each matrix product, but every one has its own step
lengths and its own history: it converges as if it were solved alone. In one long vector, the
hardest problem would hold up all others. The method is that of Nocedal and Wright, "Numerical
Optimization" (2006), algorithms 3.1 and 7.4.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_HISTORY = 5
_SUFFICIENT = 1e-4
_TOLERANCE = 3e-5


class Objective(Protocol):
    """Independent smooth convex functions of the columns of one matrix.

    A problem consists of one or more columns. What belongs to a problem is repeated for each of
    its columns: shape (columns,).
    """

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value of each problem, (columns,), and the gradient, (rows, columns)."""
        ...

    def dot(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the inner product of two matrices for each problem, (columns,)."""
        ...


@dataclass(frozen=True)
class _Move:
    """A move of the parameters, 0 where it was refused, with the change of the gradient."""

    step: Tensor
    change: Tensor
    inverse_curvature: Tensor


def minimise(objective: Objective, start: Tensor, *, steps: int) -> Tensor:
    """Return parameters near the minimum of each problem.

    Args:
        objective: The functions. A step of length 1 along the negative gradient should rarely be
            too long; their preconditioner sees to that.
        start: Shape (rows, columns).
        steps: Maximum number of steps, each of which evaluates the objective once. A problem whose
            step was too long stays where it is and tries half of it next.
    """
    value, gradient = objective.evaluate(start)
    parameters, length, scale = start, torch.ones_like(value), torch.ones_like(value)
    moves: deque[_Move] = deque(maxlen=_HISTORY)
    for _ in range(steps):
        if gradient.abs().max() < _TOLERANCE:
            break
        step = -length * _newton_direction(objective, gradient, moves, scale)
        tried, tried_gradient = objective.evaluate(parameters + step)
        accepted = tried <= value + _SUFFICIENT * objective.dot(step, gradient)
        step = step.where(accepted, 0)
        change = (tried_gradient - gradient).where(accepted, 0)
        curvature, square = objective.dot(step, change), objective.dot(change, change)
        curved = curvature > 0
        moves.append(_Move(step, change, (1 / curvature).where(curved, 0)))
        scale = (curvature / square).where(curved, scale)
        length = torch.where(accepted, 1.0, length / 2)
        parameters, value = parameters + step, tried.where(accepted, value)
        gradient = tried_gradient.where(accepted, gradient)
    return parameters


def _newton_direction(
    objective: Objective, gradient: Tensor, moves: deque[_Move], scale: Tensor
) -> Tensor:
    """Return the product of the approximate inverse Hessian, from the last moves, and gradient."""
    direction, shares = gradient.clone(), []
    for move in reversed(moves):
        share = move.inverse_curvature * objective.dot(move.step, direction)
        direction -= share * move.change
        shares.append(share)
    direction *= scale
    for move, share in zip(moves, reversed(shares), strict=True):
        direction += (
            share - move.inverse_curvature * objective.dot(move.change, direction)
        ) * move.step
    return direction
