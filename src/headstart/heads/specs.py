"""Step 4, add a new classifier: unfitted heads and their settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from headstart.errors import OptionError, suggestion
from headstart.heads.mlp import fit_mlp
from headstart.heads.nearest import fit_nearest
from headstart.heads.problem import HeadFit, Member, Problem
from headstart.heads.selection import best_fit, refit_heads, select_head


class Head(Protocol):
    """An unfitted head: a dataclass of its settings.

    Attributes:
        kind: Its name in options and bundles.
    """

    kind: ClassVar[str]

    def fit(self, problem: Problem, *, seed: int) -> HeadFit:
        """Fit a head to a problem, using any of its `columns`.

        The head may learn only from `problem.fitted_rows`: the other rows are a validation part.
        """
        ...


@dataclass(frozen=True)
class AutoHead:
    """The average of linear and kernel heads, with weights by log loss on held-out images.

    With few images, nearest means are averaged with them, see `selection`.
    """

    kind: ClassVar[str] = "auto"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, average=True, seed=seed)


@dataclass(frozen=True)
class LinearHead:
    """L2-regularised multinomial logistic regression on standardised features: the probe."""

    kind: ClassVar[str] = "linear"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, ["linear"], seed=seed)


@dataclass(frozen=True)
class KernelHead:
    """Kernel logistic regression with a radial-basis kernel (Zhu and Hastie, 2005)."""

    kind: ClassVar[str] = "kernel"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, ["kernel"], seed=seed)


@dataclass(frozen=True)
class FixedHead:
    """A head with known hyperparameters, chosen on other features of the same images.

    Attributes:
        members: Those of a fit by `select_head`.
    """

    kind: ClassVar[str] = "fixed"

    members: tuple[Member, ...]

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return refit_heads(problem, self.members, seed=seed)


@dataclass(frozen=True)
class MLPHead:
    """The tutorial's head, a multilayer perceptron.

    Attributes:
        hidden: Units of the hidden layer.
        dropout: Share of hidden units dropped in each step, 0 to below 1.
        epochs: Maximum number of epochs, with early stopping on a validation part.
        learning_rate: Learning rate of Adam.
    """

    kind: ClassVar[str] = "mlp"

    hidden: int = 256
    dropout: float = 0.5
    epochs: int = 100
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise OptionError(f"hidden must be at least 1. Got {self.hidden}.")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout must be at least 0 and below 1. Got {self.dropout}.")
        if self.epochs < 1:
            raise OptionError(f"epochs must be at least 1. Got {self.epochs}.")
        if self.learning_rate <= 0:
            raise OptionError(f"learning_rate must be above 0. Got {self.learning_rate}.")

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        fits = [
            fit_mlp(
                problem,
                features,
                hidden=self.hidden,
                dropout=self.dropout,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                seed=seed,
            )
            for features in problem.columns
        ]
        return best_fit(problem, fits)


@dataclass(frozen=True)
class NearestHead:
    """Nearest class mean, to which classes can be added later."""

    kind: ClassVar[str] = "nearest"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        if problem.task.activation != "softmax":
            raise OptionError(
                "The head 'nearest' needs one label per image. Use auto, linear, kernel or mlp."
            )
        return best_fit(problem, [fit_nearest(problem, features) for features in problem.columns])


HEADS = (AutoHead, LinearHead, KernelHead, MLPHead, NearestHead)
"""Heads that can be chosen by name."""

_BY_KIND: dict[str, Callable[..., Head]] = {head.kind: head for head in HEADS}


def head_named(kind: str, settings: Mapping[str, float] | None = None) -> Head:
    """Create an unfitted head by name.

    Args:
        kind: A value of the option `head`.
        settings: Arguments of its class, such as `hidden`; defaults if not given.

    Raises:
        OptionError: The kind is unknown.
    """
    if kind not in _BY_KIND:
        raise OptionError(f"There is no head '{kind}'.{suggestion(kind, _BY_KIND)}")
    return _BY_KIND[kind](**(settings or {}))
