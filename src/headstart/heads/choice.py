"""What may be fitted on features: a kind of head, and which columns it may read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from headstart.arrays import Features, Targets
from headstart.backbones.layout import FeatureLayout
from headstart.data.splits import stratified_folds
from headstart.heads.problem import HeadFit, Problem, effort_for
from headstart.heads.specs import ChosenHead, Head, LinearHead
from headstart.task import Task


@dataclass(frozen=True)
class HeadChoice:
    """A head that is not fitted yet, and everything that fitting needs besides the images.

    Attributes:
        head: Its kind.
        kinds: Features that it may read: "last", "multilevel", or "flatten".
        layout: What each column of the features is.
        classes: How many classes there are.
        task: The kind of label.
        balanced: Weigh classes inversely to their frequency.
        seed: Of folds and everything that is drawn.
    """

    head: Head
    kinds: tuple[str, ...]
    layout: FeatureLayout
    classes: int
    task: Task
    balanced: bool = False
    seed: int = 0

    def fit(self, features: Features, targets: Targets, groups: Sequence[str]) -> HeadFit:
        """Fit on features of shape (images, width), choosing on folds that keep groups whole.

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

    def linear(self) -> Self:
        """Return the same for a linear head."""
        return replace(self, head=LinearHead())

    def settled(self, fit: HeadFit) -> Self:
        """Return the same with nothing left to choose but what a fit has chosen.

        For features that learnt from the labels: among those, folds would hold nothing out.
        """
        head = ChosenHead(fit.chosen) if fit.chosen else self.head
        return replace(self, head=head, kinds=(fit.features,))
