"""How a classifier's head is to be fitted, and the same as it stands in a bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from headstart.backbones.layout import FeatureLayout
from headstart.errors import OptionError
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import HEADS, AutoHead, Head, head_named
from headstart.options import FeaturesOption, HeadOption
from headstart.predictor.config import CUSTOM, Specification
from headstart.task import Task
from headstart.tuning.tutorial import TutorialHead


@dataclass(frozen=True)
class HeadSettings:
    """How a head is to be fitted.

    Attributes:
        head: The unfitted head.
        features: "last", "multilevel", "flatten" or "auto".
        balanced: Whether to weight classes inversely to their frequency.
        seed: Random seed.
        deterministic: Whether choices by timing are ruled out.
        operating_point: What thresholds are chosen for; None for the default of the task.
    """

    head: Head
    features: FeaturesOption
    balanced: bool
    seed: int
    deterministic: bool
    operating_point: str | None = None

    @classmethod
    def of(cls, specification: Specification, head: Head | HeadOption | None) -> Self:
        """Return the settings that a model was trained with, or those with another head.

        Raises:
            OptionError: No head is given, and the model's was a custom one.
        """
        return cls(
            _head_of(specification) if head is None else as_head(head),
            specification.features,
            specification.balanced,
            specification.seed,
            specification.deterministic,
            specification.operating_point,
        )

    def specification(self) -> Specification:
        """Return the settings as a bundle keeps them; a custom head is only named as such."""
        head = self.head
        built_in = isinstance(head, (*HEADS, TutorialHead))
        kind, settings = (head.kind, dict(vars(head))) if built_in else (CUSTOM, {})
        return Specification(
            *(kind, settings, self.features, self.balanced, self.seed),
            *(self.deterministic, self.operating_point),
        )

    def choice(self, layout: FeatureLayout, classes: int, task: Task) -> HeadChoice:
        """Return the choice of heads for the features and classes of a classifier.

        Raises:
            OptionError: There are two scales, of which the features use only one.
        """
        if "scales" in layout.kinds and self.features != "auto":
            raise OptionError(
                f"Features '{self.features}' have one scale. Omit scales 'two', or the features."
            )
        kinds = layout.kinds if self.features == "auto" else (self.features,)
        return HeadChoice(
            *(self.head, kinds, layout, classes, task),
            balanced=self.balanced,
            seed=self.seed,
            operating_point=self.operating_point,
        )


def as_head(head: Head | HeadOption | None) -> Head:
    """Return an unfitted head that is given as such or by name; None stands for "auto"."""
    if head is None:
        return AutoHead()
    return head_named(head) if isinstance(head, str) else head


def _head_of(specification: Specification) -> Head:
    """Create the unfitted head that a model was trained with."""
    if specification.kind == CUSTOM:
        raise OptionError("The model was trained with a custom head. Pass it as head=.")
    if specification.kind == TutorialHead.kind:
        make: Callable[..., Head] = TutorialHead
        return make(**specification.settings)
    return head_named(specification.kind, specification.settings)
