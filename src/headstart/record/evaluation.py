"""The evaluation of a model: its metrics on labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from pydantic import JsonValue

from headstart.notebook import html_table
from headstart.record.estimates import Interval


@dataclass(frozen=True)
class ClassResult:
    """Results for one class. Metrics are None if the class has no test images.

    Attributes:
        name: The name of the class.
        precision: The share of images predicted as this class that belong to it; 0 if none were
            predicted.
        recall: The share of the images of this class that were predicted correctly.
        recall_ci95: Wilson interval of the recall.
        f1: Harmonic mean of precision and recall.
        images: The number of test images of this class.
        auroc: Area under the ROC curve of this class against the rest; None also if all test images
            are of this class, and in records of versions that did not measure it.
    """

    name: str
    precision: float | None
    recall: float | None
    recall_ci95: Interval | None
    f1: float | None
    images: int
    auroc: float | None = None

    def to_json(self, trained_on: int | None) -> dict[str, JsonValue]:
        """Return plain JSON values, with the number of training images if it is known."""
        return {
            "class": self.name,
            "precision": self.precision,
            "recall": self.recall,
            "recall_ci95": list(self.recall_ci95) if self.recall_ci95 else None,
            "f1": self.f1,
            "auroc": self.auroc,
            "images": self.images,
            "trained_on": trained_on,
        }


@dataclass(frozen=True)
class ReliabilityBin:
    """Images predicted with similar confidence.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: The share of correct predictions.
        images: The number of images.
    """

    confidence: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class SingleEvaluation:
    """The evaluation of predictions for images with one label each.

    Attributes:
        images: The number of images.
        accuracy: The share of correct predictions.
        accuracy_ci95: Wilson interval.
        macro_f1: Mean F1 over the classes that have test images.
        auroc: Area under the ROC curve, one class against the rest, mean over classes; None
            if fewer than two classes have test images.
        ece: Expected calibration error (Naeini et al., 2015), 15 bins of equal width.
        log_loss: Mean of -log(probability of the true class).
        majority: Accuracy of the majority baseline, which always predicts the most frequent class.
        per_class: Results for each class, in the order of the classes.
        confusion: Counts, with true classes as rows and predicted classes as columns.
        reliability: The confidence bins that contain images.
        task: The name of the task.
    """

    images: int
    accuracy: float
    accuracy_ci95: Interval
    macro_f1: float
    auroc: float | None
    ece: float
    log_loss: float
    majority: float
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]
    task: Literal["single"] = "single"

    def __repr__(self) -> str:
        low, high = self.accuracy_ci95
        return (
            f"Evaluation({self.accuracy:.1%} correct on {self.images:,} images, "
            f"95% interval {low:.1%} to {high:.1%}; macro-F1 {self.macro_f1:.3f})"
        )

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        columns = ("class", "precision", "recall", "F1", "images")
        return html_table(repr(self), columns, map(_cells, self.per_class))

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes without images, which are not measured."""
        return tuple(result.name for result in self.per_class if not result.images)

    def headline(self) -> dict[str, JsonValue]:
        """Return the scalar metrics, as JSON values."""
        low, high = self.accuracy_ci95
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_ci95": [low, high],
            "macro_f1": self.macro_f1,
            "auroc": self.auroc,
            "ece": self.ece,
            "log_loss": self.log_loss,
            "majority": self.majority,
        }

    def to_json(self, trained_on: Sequence[int] = ()) -> dict[str, JsonValue]:
        """Return the scalar metrics and those of each class, as JSON values.

        Args:
            trained_on: The number of training images of each class, or nothing if unknown.
        """
        per_class: list[JsonValue] = [
            result.to_json(count) for result, count in zip_longest(self.per_class, trained_on)
        ]
        return self.headline() | {
            "classes_without_images": list(self.absent),
            "per_class": per_class,
        }


def _cells(result: ClassResult) -> tuple[str, ...]:
    precision, recall, f1 = (
        "\u2013" if value is None else format(value, form)
        for value, form in ((result.precision, ".1%"), (result.recall, ".1%"), (result.f1, ".3f"))
    )
    return result.name, precision, recall, f1, f"{result.images:,}"


Evaluation = SingleEvaluation
"""The evaluation of any task."""
