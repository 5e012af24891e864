"""Step 4, add a new classifier: what can be chosen before anything is fitted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from headstart.errors import OptionError, suggestion
from headstart.heads.mlp import fit_mlp
from headstart.heads.nearest import fit_nearest
from headstart.heads.problem import Chosen, HeadFit, Problem
from headstart.heads.selection import best_of, fit_chosen, select_head


class Head(Protocol):
    """A head that is not fitted yet: a dataclass of its settings.

    Attributes:
        kind: Its name in options and bundles.
    """

    kind: ClassVar[str]

    def fit(self, problem: Problem, *, seed: int) -> HeadFit:
        """Learn from a problem whose `columns` are the kinds of features that may be read."""
        ...


@dataclass(frozen=True)
class AutoHead:
    """Linear or kernel, whichever has the lower log loss on held-out folds."""

    kind: ClassVar[str] = "auto"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, seed=seed)


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
class ChosenHead:
    """A head of which everything was chosen before, on other features of the same images.

    Attributes:
        chosen: What was settled.
    """

    kind: ClassVar[str] = "chosen"

    chosen: Chosen

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return fit_chosen(problem, self.chosen, seed=seed)


@dataclass(frozen=True)
class MLPHead:
    """The tutorial's head.

    Attributes:
        hidden: Units of the hidden layer.
        dropout: Share of hidden units left out of each step, 0 to below 1.
        epochs: Most epochs; training stops earlier when validation no longer improves.
        learning_rate: Of Adam.
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
        return best_of(problem, fits)


@dataclass(frozen=True)
class NearestHead:
    """Nearest class mean: for very few images, and for classes that are added later."""

    kind: ClassVar[str] = "nearest"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return best_of(problem, [fit_nearest(problem, features) for features in problem.columns])


HEADS = (AutoHead, LinearHead, KernelHead, MLPHead, NearestHead)
"""What can be asked for by name."""

_BY_KIND: dict[str, Callable[..., Head]] = {head.kind: head for head in HEADS}


def head_named(kind: str, settings: Mapping[str, float] | None = None) -> Head:
    """Return the head of a kind.

    Args:
        kind: As the option `head` names it.
        settings: What its class takes besides, such as `hidden`; defaults without.

    Raises:
        OptionError: There is no such kind.
    """
    if kind not in _BY_KIND:
        raise OptionError(f"There is no head '{kind}'.{suggestion(kind, _BY_KIND)}")
    return _BY_KIND[kind](**(settings or {}))
