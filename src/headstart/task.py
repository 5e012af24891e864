"""The protocol of a task: everything that depends on the kind of label.

A task is a value without state. Rooms of the product are handed one and never ask which it is;
`tasks/` implements it by composing what the rooms below offer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from headstart.arrays import Flags, Floats, Numbers, Probabilities, Rows, Scores, Targets
from headstart.record import Evaluation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image with one label.

    Attributes:
        image: How the user named it.
        label: The most probable class.
        probability: Of that class, 0 to 1, calibrated.
        top: The most probable classes with their probabilities, best first.
    """

    image: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        top: list[JsonValue] = [{"label": name, "probability": share} for name, share in self.top]
        return {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "top": top,
        }


@dataclass(frozen=True)
class Mistake:
    """An image that was predicted wrongly.

    Attributes:
        row: Its position among the images.
        label: The truth.
        predicted: The prediction.
        probability: The confidence in it, 0 to 1.
    """

    row: int
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Summary:
    """An evaluation in words and rows of text, for the terminal and the model card.

    Attributes:
        headline: The figure that counts, such as "87.8% right".
        context: What follows it: the number of images and the interval.
        figures: Other single numbers, on one line.
        sentence: The result as a sentence, for the model card.
        columns: Heads of the table by class; a name that ends in ">" is aligned to the right.
        rows: Of that table; of many classes, only the weakest.
    """

    headline: str
    context: str
    figures: str
    sentence: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReportPart:
    """The part of the report that shows an evaluation.

    Attributes:
        template: Its name in the report's folder.
        values: What the template shows.
    """

    template: str
    values: Mapping[str, object]


class Task(Protocol):
    """A kind of label.

    Attributes:
        name: In options, bundles and records.
    """

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    # Labels ---------------------------------------------------------------------------------

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the names of all classes, sorted."""
        ...

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Turn a label column into numbers."""
        ...

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return why different labels of copies of one image contradict each other, or None."""
        ...

    def strata(self, targets: Targets) -> Rows:
        """Return the stratum of each image, by which splits and folds are balanced."""
        ...

    def present(self, targets: Targets) -> set[int]:
        """Return the numbers of the classes that some image has."""
        ...

    # Learning -------------------------------------------------------------------------------

    def encode(self, targets: Targets, classes: int) -> Tensor:
        """Return what scores are compared with while learning, (images, classes), float32."""
        ...

    def shares(self, targets: Targets, classes: int, *, balanced: bool) -> Floats:
        """Return how much each image counts, (images,), sum 1."""
        ...

    def loss_and_gradient(self, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and their gradient with respect to the scores, both (..., classes).

        The loss of an image is the sum of its row.

        Args:
            scores: Shape (..., classes).
            truth: As `encode` gives it, of a shape that broadcasts.
        """
        ...

    def guessing_loss(self, classes: int) -> float:
        """Return the loss of a model that knows nothing."""
        ...

    def training_loss(
        self,
        scores: Tensor,
        truth: Tensor,
        *,
        smoothing: float = 0.0,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss of a batch, for automatic differentiation.

        Args:
            scores: Shape (images, classes).
            truth: As `encode` gives it, or mixtures of such rows.
            smoothing: Share of the truth that is spread over all classes.
            weights: What each image's loss is multiplied by, shape (images,); 1 by default.
        """
        ...

    # Predicting -----------------------------------------------------------------------------

    def probabilities(self, scores: Scores, temperature: float) -> Probabilities:
        """Turn scores into calibrated probabilities, (images, classes)."""
        ...

    def link(self, scores: Tensor) -> Tensor:
        """Turn calibrated scores into probabilities inside a network; the same function."""
        ...

    def predict(
        self, image: str, probabilities: Probabilities, classes: Sequence[str], top: int
    ) -> Prediction:
        """Turn the probabilities of one image, (classes,), into a prediction."""
        ...

    # Measuring ------------------------------------------------------------------------------

    def temperature(self, scores: Scores, targets: Targets) -> float:
        """Return the divisor of scores that calibrates them best on these held-out images."""
        ...

    def losses(self, probabilities: Probabilities, targets: Targets) -> Numbers:
        """Return the log loss of each image, (images,)."""
        ...

    def correct(self, scores: Scores, targets: Targets) -> Flags:
        """Return which images are predicted correctly, (images,)."""
        ...

    def evaluate(
        self, probabilities: Probabilities, targets: Targets, classes: Sequence[str]
    ) -> Evaluation:
        """Measure predictions of images with known labels."""
        ...

    def worst_mistakes(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        most: int,
    ) -> list[Mistake]:
        """Return the most confident wrong predictions, the most confident first."""
        ...

    # Showing --------------------------------------------------------------------------------

    def summarise(self, evaluation: Evaluation, split: str) -> Summary:
        """Put an evaluation into words and rows.

        Args:
            evaluation: What was measured.
            split: The part of the data: "train", "val", "test", or "" for all of it.
        """
        ...

    def report_part(self, evaluation: Evaluation) -> ReportPart:
        """Return the part of the report that shows an evaluation."""
        ...
