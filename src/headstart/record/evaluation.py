"""The evaluation of a model: its metrics on labelled images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Literal

from pydantic import Discriminator, JsonValue, Tag

from headstart.arrays import Temperature
from headstart.notebook import html_table
from headstart.record.boxes import BoxesEvaluation
from headstart.record.estimates import Interval
from headstart.record.limits import LimitsResult
from headstart.record.multi import MultiEvaluation
from headstart.record.operating import OperatingResult
from headstart.record.slices import SliceResults
from headstart.record.values import Rejection


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

    def to_json(self, trained_on: int | None = None) -> dict[str, JsonValue]:
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
        operating: The predictions at the operating point of two classes; empty without one.
        auroc_ci95: For two classes, DeLong's interval of the AUROC or, with groups, that of the
            cluster bootstrap; else None.
        groups: The number of groups of dependent images, for which intervals are those of the
            cluster bootstrap; None if images are independent.
        slices: The metrics of the values of columns; None if nothing was sliced.
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
    operating: tuple[OperatingResult, ...] = ()
    auroc_ci95: Interval | None = None
    groups: int | None = None
    slices: SliceResults | None = None
    task: Literal["single"] = "single"

    def __repr__(self) -> str:
        low, high = self.accuracy_ci95
        return (
            f"Evaluation({self.accuracy:.1%} correct on {self.images:,} images, "
            f"95% interval {low:.1%} to {high:.1%}; macro-F1 {self.macro_f1:.3f})"
        )

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        return self.to_html()

    def to_html(self, trained_on: Sequence[int] = ()) -> str:
        """Return the results by class as an HTML table.

        Args:
            trained_on: The number of training images of each class, or nothing if unknown.
        """
        columns = ["class", "precision>", "recall>", "F1>", "images>"]
        rows = map(_cells, self.per_class)
        return html_table(repr(self), columns, rows, trained_on=trained_on)

    @property
    def slice_warnings(self) -> tuple[str, ...]:
        """What differs between slices by more than chance, in sentences."""
        return self.slices.warnings if self.slices else ()

    @property
    def verdict(self) -> str:
        """The main metric in words."""
        return f"{self.accuracy:.1%} correct"

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
            "auroc_ci95": list(self.auroc_ci95) if self.auroc_ci95 else None,
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
            "groups": self.groups,
            "operating_point": [result.to_json() for result in self.operating],
            "slices": self.slices.to_json() if self.slices else None,
            "per_class": per_class,
        }

    def matrices(self) -> dict[str, JsonValue]:
        """Return the confusion matrix, as JSON values."""
        return {"confusion": [list(row) for row in self.confusion]}


def _cells(result: ClassResult) -> tuple[str, ...]:
    precision, recall, f1 = (
        "\u2013" if value is None else format(value, form)
        for value, form in ((result.precision, ".1%"), (result.recall, ".1%"), (result.f1, ".3f"))
    )
    return result.name, precision, recall, f1, f"{result.images:,}"


def _task(evaluation: object) -> str:
    """Return the task of an evaluation; records of early versions do not name it."""
    if isinstance(evaluation, Mapping):
        return str(evaluation.get("task", "single"))
    return str(getattr(evaluation, "task", "single"))


Evaluation = Annotated[
    Annotated[SingleEvaluation, Tag("single")]
    | Annotated[MultiEvaluation, Tag("multi")]
    | Annotated[BoxesEvaluation, Tag("boxes")],
    Discriminator(_task),
]
"""The evaluation of any task."""


@dataclass(frozen=True)
class EvaluationRecord:
    """Everything that `evaluate` measured.

    Attributes:
        headstart: The version of headstart that measured it.
        created: Date and time in ISO 8601 with the time zone.
        model: The path of the run or the bundle.
        data: A short name of the data.
        split: The part of the data that was used: "all", "train", "val" or "test".
        evaluation: The metrics, with the classes in the model's order.
        temperature: The divisor of scores that calibrates probabilities.
        trained_on: The number of training images of each class; empty if it is not known.
        rejected: Images that were not used, with the reasons.
        warnings: What may be wrong with the data or the results, in sentences.
        recorded: The scalar metrics in the run's record that differ from these, by name; empty if
            all are equal, None if the record has no results on these images.
        limits: What the model knows about its own limits; None if it has seen some of the images.
    """

    headstart: str
    created: str
    model: str
    data: str
    split: Literal["all", "train", "val", "test"]
    evaluation: Evaluation
    temperature: Temperature
    trained_on: tuple[int, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]
    recorded: Mapping[str, JsonValue] | None
    limits: LimitsResult | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the model's order."""
        return tuple(result.name for result in self.evaluation.per_class)

    @property
    def kind(self) -> str:
        """What images of the part are called: "test", "validation", "training", or "" for all."""
        return {"all": "", "train": "training", "val": "validation"}.get(self.split, self.split)

    @property
    def comparison(self) -> str:
        """A sentence that compares the metrics with the record; "" if it has none of these."""
        if self.recorded is None:
            return ""
        if not self.recorded:
            return "The record of the run has the same figures, to the last digit."
        figures = ", ".join(
            f"{name.replace('_', ' ')} {value:.7g}"
            for name, value in self.recorded.items()
            if isinstance(value, (int, float))
        )
        return f"The figures in the record of the run differ: {figures}."

    def to_json(self) -> dict[str, JsonValue]:
        """Return all of it as plain JSON values."""
        return {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            **self.evaluation.to_json(self.trained_on),
            **self.evaluation.matrices(),
            "rejected": [{"image": one.image, "reason": one.reason} for one in self.rejected],
            "warnings": list(self.warnings),
            "recorded": None if self.recorded is None else dict(self.recorded),
            "limits": self.limits.to_json() if self.limits else None,
            "headstart": self.headstart,
            "created": self.created,
        }
