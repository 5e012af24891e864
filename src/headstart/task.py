"""The protocol of a task: everything that depends on the kind of label.

A task is a stateless value. Other packages receive a task and never ask which task it is. The
implementations are in `tasks/`, on top of the packages below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from headstart.answers import AnyTaskPrediction, Mistake, Suspect, Thresholds
from headstart.arrays import (
    Flags,
    Floats,
    Folds,
    Numbers,
    Probabilities,
    Rows,
    Scores,
    Targets,
    Temperature,
)
from headstart.record import Evaluation
from headstart.record.comparison import MetricDifference

if TYPE_CHECKING:
    from torch import Tensor


Activation = Literal["softmax", "sigmoid"]
"""The function that turns calibrated scores into probabilities: of classes that exclude each other,
or of each label by itself."""


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
        operating: The predictions at the operating point, a sentence for each label.
    """

    headline: str
    context: str
    figures: str
    sentence: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    operating: tuple[str, ...] = ()


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
        activation: The function that turns calibrated scores into probabilities.
        least_classes: The smallest number of classes that can be told apart.
    """

    @property
    def name(self) -> str:
        """The name of the task."""
        ...

    @property
    def least_classes(self) -> int:
        """The smallest number of classes that can be told apart."""
        ...

    @property
    def before_names(self) -> str:
        """The beginning of a sentence that names the classes: "Classes:" or "The labels are"."""
        ...

    def counted(self, classes: Sequence[str]) -> str:
        """Return what images have, such as "of 3 classes" or "with 1 label"."""
        ...

    @property
    def activation(self) -> Activation:
        """The function that turns calibrated scores into probabilities."""
        ...

    # Labels ---------------------------------------------------------------------------------

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the names of all classes, sorted."""
        ...

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Encode a label column as numbers."""
        ...

    def label_text(self, label: str) -> str:
        """Return a label of the manifest as people write it.

        Several labels are those that are present, separated by "|".
        """
        ...

    def scaled_label(self, label: str, size: tuple[int, int]) -> str:
        """Return a label as it would be if the image had 1000 x 1000 pixels.

        Copies of an image may differ in size, on which a label does not depend unless it has
        coordinates.

        Args:
            label: The label.
            size: Width and height of the image as it is seen.
        """
        ...

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return why the labels of copies of an image conflict; None if they agree."""
        ...

    def strata(self, targets: Targets) -> Rows:
        """Return the stratum of each image, for stratified splits and samples."""
        ...

    def folds(self, targets: Targets, groups: Sequence[str], *, folds: int, seed: int) -> Folds:
        """Split images into stratified folds that keep groups whole; each image is held out once.

        Args:
            targets: The encoded labels.
            groups: The group of each image.
            folds: The maximum number of folds.
            seed: Seed of the shuffle.

        Raises:
            DataError: There are too few images to hold some out.
        """
        ...

    def present(self, targets: Targets) -> set[int]:
        """Return the numbers of the classes that have at least one image."""
        ...

    def unlearnable(self, targets: Targets, groups: Sequence[str]) -> set[int]:
        """Return the numbers of the classes that cannot be trained beside the others.

        Args:
            targets: The encoded labels of the training images.
            groups: The group of each image.
        """
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

    def probabilities(self, scores: Scores, temperature: Temperature) -> Probabilities:
        """Convert scores into calibrated probabilities, (images, classes)."""
        ...

    def link(self, scores: Tensor) -> Tensor:
        """Convert calibrated scores into probabilities inside a network."""
        ...

    def decide(self, probabilities: Tensor, thresholds: Thresholds | None) -> Tensor:
        """Return which labels are predicted inside a network, (images, classes), as flags."""
        ...

    def predict(
        self,
        image: str,
        probabilities: Probabilities,
        classes: Sequence[str],
        top: int,
        thresholds: Thresholds | None = None,
    ) -> AnyTaskPrediction:
        """Build the prediction for one image from its probabilities, (classes,)."""
        ...

    # Evaluation -----------------------------------------------------------------------------

    def temperature(self, scores: Scores, targets: Targets) -> Temperature:
        """Fit the divisor of scores that calibrates them best on these held-out images."""
        ...

    def thresholds(
        self, probabilities: Probabilities, targets: Targets, purpose: str | None
    ) -> Thresholds | None:
        """Choose thresholds on held-out images; None if the most probable class is predicted.

        Args:
            probabilities: Calibrated probabilities, (images, classes).
            targets: The encoded labels.
            purpose: What the thresholds are for, such as "sensitivity=0.95"; None for the default.

        Raises:
            OptionError: There is no such purpose, or not for this task.
        """
        ...

    def check_operating_point(self, purpose: str | None, classes: Sequence[str]) -> None:
        """Check what thresholds are for before anything is trained; see `thresholds`.

        Raises:
            OptionError: There is no such purpose, or not for these classes.
        """
        ...

    def losses(self, probabilities: Probabilities, targets: Targets) -> Numbers:
        """Return the log loss of each image, (images,)."""
        ...

    def correct(self, scores: Scores, targets: Targets) -> Flags:
        """Return which images are predicted correctly, (images,)."""
        ...

    def evaluate(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        thresholds: Thresholds | None = None,
        groups: Sequence[str] = (),
        prevalence: float | None = None,
        slices: Mapping[str, Sequence[str]] | None = None,
    ) -> Evaluation:
        """Evaluate the predictions for labelled images.

        Args:
            probabilities: Calibrated probabilities, (images, classes).
            targets: The encoded labels.
            classes: The names of the classes.
            thresholds: The operating point of the model.
            groups: The group of each image, if images of a group are not independent.
            prevalence: The share of images with a label where the model is used, above 0 and
                below 1, for predictive values at the operating point.
            slices: The value of each image, by the name of a column, by which results are sliced.

        Raises:
            OptionError: The prevalence is out of range, or there is no operating point for it.
        """
        ...

    def hits(
        self, probabilities: Probabilities, targets: Targets, thresholds: Thresholds | None = None
    ) -> Flags:
        """Return which images are predicted correctly at the operating point, (images,)."""
        ...

    def compare(
        self,
        first: tuple[Probabilities, Thresholds | None],
        second: tuple[Probabilities, Thresholds | None],
        targets: Targets,
        *,
        groups: Sequence[str] = (),
    ) -> tuple[MetricDifference, ...]:
        """Compare two models on the same images; the first metric is the one to test.

        Args:
            first: Probabilities, (images, classes), and operating point of the first model.
            second: The same of the second model.
            targets: The encoded labels.
            groups: The group of each image, if images of a group are not independent.
        """
        ...

    def answers(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        thresholds: Thresholds | None = None,
    ) -> dict[str, Sequence[str | float]]:
        """Return the truth and the prediction of each image as columns of a table, by name."""
        ...

    def worst_mistakes(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        limit: int,
        thresholds: Thresholds | None = None,
    ) -> list[Mistake]:
        """Return at most `limit` wrong predictions, most confident first."""
        ...

    def suspects(
        self, probabilities: Probabilities, targets: Targets, classes: Sequence[str]
    ) -> list[Suspect]:
        """Return the labels that are probably wrong, the most suspect first.

        Args:
            probabilities: Of each image, by a model that was not fitted on it, (images, classes).
            targets: The encoded labels.
            classes: The names of the classes.
        """
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
