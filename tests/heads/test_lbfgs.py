"""Many problems are minimised at once, each as if it were alone."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from headstart.heads.lbfgs import minimise


@dataclass(frozen=True)
class Quartics:
    """A quadratic and a quartic term for each column: sum of stiffness * (x - 1)^2 + x^4."""

    stiffness: Tensor

    def evaluate(self, parameters):
        """Return values and gradients."""
        value = self.stiffness * (parameters - 1) ** 2 + parameters**4
        return value.sum(dim=0), 2 * self.stiffness * (parameters - 1) + 4 * parameters**3

    def dot(self, first, second):
        """Each column is a problem."""
        return (first * second).sum(dim=0)


def quartics(problems=6, rows=20):
    """Return problems whose rows differ more and more in stiffness."""
    spread = torch.linspace(0, 2, problems, dtype=torch.float64)
    return Quartics(10 ** (torch.linspace(-1, 1, rows).unsqueeze(1) * spread))


def test_every_problem_reaches_its_minimum():
    """The gradient vanishes in each column, whatever its condition."""
    problems = quartics()
    found = minimise(problems, torch.zeros_like(problems.stiffness), steps=200)
    assert problems.evaluate(found)[1].abs().max() < 1e-3


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_problem_does_not_depend_on_the_others(steps):
    """After any number of steps it is where it would be alone."""
    together = quartics()
    start = torch.zeros_like(together.stiffness)
    found = minimise(together, start, steps=steps)
    for number in range(start.shape[1]):
        alone = Quartics(together.stiffness[:, [number]])
        expected = minimise(alone, start[:, [number]], steps=steps)
        torch.testing.assert_close(found[:, [number]], expected)


def test_no_step_makes_a_problem_worse():
    """A step that is too long is refused, and tried again at half its length."""
    problems = quartics()
    start = torch.full_like(problems.stiffness, 3.0)
    values = [
        problems.evaluate(minimise(problems, start, steps=steps))[0] for steps in range(0, 40, 4)
    ]
    for earlier, later in pairwise(values):
        assert (later <= earlier).all()
    assert (values[-1] < values[0]).all()
