"""The choice of heads: which kind may be fitted, and on which features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from headstart.arrays import Features, Targets
from headstart.backbones.layout import FeatureLayout
from headstart.data.splits import stratified_folds
from headstart.heads.problem import HeadFit, Problem, effort_for
from headstart.heads.specs import FixedHead, Head, LinearHead
from headstart.task import Task


@dataclass(frozen=True)
class HeadChoice:
    """An unfitted head, and everything that fitting needs besides the images.

    Attributes:
        head: The unfitted head.
        kinds: Features that it may use: "last", "multilevel", or "flatten".
        layout: The meaning of each column of the features.
        classes: Number of classes.
        task: The kind of label.
        balanced: Whether to weight classes inversely to their frequency.
        seed: Random seed, also of the folds.
    """

    head: Head
    kinds: tuple[str, ...]
    layout: FeatureLayout
    classes: int
    task: Task
    balanced: bool = False
    seed: int = 0

    def fit(self, features: Features, targets: Targets, groups: Sequence[str]) -> HeadFit:
        """Fit on features of shape (images, width), with model selection on folds by group.

        Raises:
            DataError: No class has two images of different groups.
        """
        folds = effort_for(len(targets), self.classes).folds
        problem = Problem(
            features,
            {name: self.layout.columns(name) for name in self.kinds},
            targets,
            self.classes,
            stratified_folds(self.task.strata(targets), groups, folds=folds, seed=self.seed),
            self.task,
            self.balanced,
            self.layout.weights(),
        )
        return self.head.fit(problem, seed=self.seed)

    def with_linear_head(self) -> Self:
        """Return the same choice for a linear head."""
        return replace(self, head=LinearHead())

    def with_fixed_choice(self, fit: HeadFit) -> Self:
        """Return the same choice, fixed to the features and hyperparameters of a fit.

        For tuned features: they were trained on the labels, so no fold of them is held out.
        """
        head = FixedHead(fit.hyperparameters) if fit.hyperparameters else self.head
        return replace(self, head=head, kinds=(fit.features,))
