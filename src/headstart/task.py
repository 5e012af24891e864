"""The protocol of a task: everything that depends on the kind of label.

A task is a stateless value. Other packages receive a task and never ask which task it is. The
implementations are in `tasks/`, on top of the packages below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        image: The name of the image, as the user passed it.
        label: The most probable class.
        probability: The calibrated probability of that class, 0 to 1.
        top: The most probable classes with their probabilities, in descending order.
        probabilities: The calibrated probabilities of all classes in the model's order, (classes,).
    """

    image: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    probabilities: Probabilities = field(repr=False, compare=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        top: list[JsonValue] = [
            {"label": label, "probability": probability} for label, probability in self.top
        ]
        return {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "top": top,
        }


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction.

    Attributes:
        row: The position of the image in the set.
        label: The true label.
        predicted: The predicted label.
        probability: The probability of the predicted label, 0 to 1.
        about: With several labels per image, the name of the label, whose `label` and `predicted`
            are "present" or "absent"; "" otherwise.
    """

    row: int
    label: str
    predicted: str
    probability: float
    about: str = ""


@dataclass(frozen=True)
class Summary:
    """An evaluation as text, for the terminal and the model card.

    Attributes:
        headline: The main metric, such as "87.8% correct".
        context: The continuation of the headline: the number of images and the interval.
        figures: Other scalar metrics, on one line.
        sentence: The result as a sentence, for the model card.
        columns: Column names of the table by class; those that end in ">" are right-aligned.
        rows: The rows of that table; with many classes, only the weakest classes.
        note: What was not measured, in sentences; "" if everything was.
    """

    headline: str
    context: str
    figures: str
    sentence: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class ReportPart:
    """The part of the report that shows an evaluation.

    Attributes:
        template: The name of the template in the report's folder.
        values: The values that the template shows, by name.
        script: A script of the part, the only one that its page may run; "" without one.
    """

    template: str
    values: Mapping[str, object]
    script: str = ""


class Task(Protocol):
    """The behaviour that depends on the kind of label.

    Attributes:
        name: The name in options, bundles and records.
    """

    @property
    def name(self) -> str:
        """The name of the task."""
        ...

    # Labels ---------------------------------------------------------------------------------

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the names of all classes, sorted."""
        ...

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Encode a label column as numbers."""
        ...

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return why the labels of copies of an image conflict; None if they agree."""
        ...

    def strata(self, targets: Targets) -> Rows:
        """Return the stratum of each image, for stratified splits and folds."""
        ...

    def present(self, targets: Targets) -> set[int]:
        """Return the numbers of the classes that have at least one image."""
        ...

    # Training -------------------------------------------------------------------------------

    def encode(self, targets: Targets, classes: int) -> Tensor:
        """Return the targets that the loss compares scores with, (images, classes), float32."""
        ...

    def sample_weights(self, targets: Targets, classes: int, *, balanced: bool) -> Floats:
        """Return the weight of each image in the loss, (images,), sum 1."""
        ...

    def loss_and_gradient(self, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and its gradient with respect to the scores, both (..., classes).

        The loss of an image is the sum of its row.

        Args:
            scores: Shape (..., classes).
            truth: The result of `encode`, broadcastable to the scores.
        """
        ...

    def uninformed_loss(self, classes: int) -> float:
        """Return the log loss of a model that assigns all classes the same probability."""
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
            truth: The result of `encode`, or mixtures of its rows.
            smoothing: The label smoothing, 0 to 1.
            weights: The factor of each image's loss, shape (images,); 1 by default.
        """
        ...

    # Prediction -----------------------------------------------------------------------------

    def probabilities(self, scores: Scores, temperature: float) -> Probabilities:
        """Convert scores into calibrated probabilities, (images, classes)."""
        ...

    def link(self, scores: Tensor) -> Tensor:
        """Convert calibrated scores into probabilities inside a network."""
        ...

    def predict(
        self, image: str, probabilities: Probabilities, classes: Sequence[str], top: int
    ) -> Prediction:
        """Build the prediction for one image from its probabilities, (classes,)."""
        ...

    # Evaluation -----------------------------------------------------------------------------

    def temperature(self, scores: Scores, targets: Targets) -> float:
        """Fit the divisor of scores that calibrates them best on these held-out images."""
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
        """Evaluate the predictions for labelled images."""
        ...

    def worst_mistakes(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        limit: int,
    ) -> list[Mistake]:
        """Return at most `limit` wrong predictions, most confident first."""
        ...

    # Presentation ---------------------------------------------------------------------------

    def describe(self, classes: Sequence[str]) -> str:
        """Return what a model of this task is, for the title of its card."""
        ...

    def summarise(
        self, evaluation: Evaluation, split: str, trained_on: Sequence[int] = ()
    ) -> Summary:
        """Format an evaluation as text.

        Args:
            evaluation: The metrics.
            split: The name of the part, such as "validation" or "test"; "" for all of the data.
            trained_on: The number of training images of each class, or nothing if unknown.
        """
        ...

    def report_part(self, evaluation: Evaluation, trained_on: Sequence[int] = ()) -> ReportPart:
        """Return the part of the report that shows an evaluation; see `summarise`."""
        ...
