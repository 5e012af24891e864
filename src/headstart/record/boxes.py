"""The evaluation of a detector: its metrics on images with labelled boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from pydantic import JsonValue

from headstart.notebook import html_table
from headstart.record.estimates import MetricValue, describe_metric
from headstart.record.multi import CurvePoint
from headstart.record.operating import OperatingResult
from headstart.record.slices import SliceResults

BoxSize = Literal["small", "medium", "large"]
"""COCO's sizes of boxes: below 32 x 32 pixels of the image, up to 96 x 96, and above."""

ErrorKind = Literal["class", "localisation", "both", "duplicate", "background", "missed"]
"""What is wrong with a prediction (TIDE; Bolya et al., 2020)."""


@dataclass(frozen=True)
class SizeResult:
    """Results for true boxes of a size. Metrics are None if there are none.

    Attributes:
        size: The name of the size.
        ap: Average precision, mean over IoU thresholds from 0.5 to 0.95 and over classes.
        ar100: Average recall with at most 100 detections per image and class, mean likewise.
        boxes: The number of true boxes of this size.
    """

    size: BoxSize
    ap: float | None
    ar100: float | None
    boxes: int


@dataclass(frozen=True)
class RecallAtFalsePositives:
    """Recall where false positives are as frequent as they may be.

    Attributes:
        false_positives: The mean number of false positives per image that is allowed.
        recall: The share of true boxes that are found at IoU 0.5 with no more than that; None
            without true boxes.
        threshold: The lowest probability that is enough; None if no detection is kept.
    """

    false_positives: float
    recall: float | None
    threshold: float | None


@dataclass(frozen=True)
class BoxClassResult:
    """Results for one class. Metrics are None if the class has no true boxes in these images.

    Boxes around crowds count neither as true boxes nor as errors.

    Attributes:
        name: The name of the class.
        ap: Average precision, mean over IoU thresholds from 0.5 to 0.95.
        ap50: Average precision at IoU 0.5.
        threshold: A box is predicted if its probability is at least this.
        precision: The share of predicted boxes that are right at IoU 0.5; None also if none are
            predicted.
        recall: The share of true boxes that are found at IoU 0.5.
        f1: Harmonic mean of precision and recall.
        boxes: The number of true boxes.
        predicted: The number of predicted boxes that count.
        hits: The number of these that are right.
        images: The number of images with true boxes of the class.
        precision_recall: Recall and precision at IoU 0.5 at COCO's 101 levels of recall, up to the
            highest recall that is reached.
        recall_at_false_positives: Recall at fixed numbers of false positives of the class per
            image.
        shortfall: Why the threshold does not reach what it was chosen for; "" if it does.
    """

    name: str
    ap: float | None
    ap50: float | None
    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    boxes: int
    predicted: int
    hits: int
    images: int
    precision_recall: tuple[CurvePoint, ...]
    recall_at_false_positives: tuple[RecallAtFalsePositives, ...] = ()
    shortfall: str = ""

    def to_json(self, trained_on: int | None = None) -> dict[str, JsonValue]:
        """Return plain JSON values, with the number of training boxes if it is known."""
        return {
            "class": self.name,
            "images": self.images,
            "boxes": self.boxes,
            "ap": self.ap,
            "ap50": self.ap50,
            "threshold": self.threshold,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "predicted": self.predicted,
            "hits": self.hits,
            "recall_at_false_positives": _recalls(self.recall_at_false_positives),
            "shortfall": self.shortfall,
            "trained_on": trained_on,
        }


@dataclass(frozen=True)
class BoxErrors:
    """The errors of one kind.

    Attributes:
        kind: The kind.
        count: Their number among the boxes predicted at the thresholds and, for "missed", among
            true boxes.
        gain: How much AP50, mean over classes, would rise if these errors of all detections were
            corrected (TIDE's dAP); None without true boxes.
    """

    kind: ErrorKind
    count: int
    gain: float | None


@dataclass(frozen=True)
class BoxesEvaluation:
    """The evaluation of detections in images with labelled boxes, as COCO does it.

    Means are over the classes that have true boxes in these images; they are None without any.

    Attributes:
        images: The number of images.
        map: Mean average precision over IoU thresholds from 0.5 to 0.95 and over classes, with
            the interval of the bootstrap over images.
        map50: The same at IoU 0.5.
        map75: The same at IoU 0.75.
        ar100: Average recall with at most 100 detections per image and class.
        by_size: Results for small, medium and large boxes.
        per_class: Results for each class, in the order of the classes.
        precision: The share of all predicted boxes that are right at IoU 0.5; None if none are
            predicted.
        recall: The share of all true boxes that are found at IoU 0.5.
        f1: Harmonic mean of both.
        errors: The errors of each kind.
        recall_at_false_positives: Recall of the boxes of all classes at fixed numbers of false
            positives per image, with one threshold for all classes.
        purpose: What the thresholds were chosen for, such as "f1" or "precision=0.9".
        resamples: The number of resamples of bootstrap intervals.
        groups: The number of groups of dependent images, which are resampled as a whole; None if
            images are independent.
        operating: Empty: the results at the thresholds are those of the classes.
        slices: The metrics of the values of columns; None if nothing was sliced.
        task: The name of the task.
    """

    images: int
    map: MetricValue
    map50: MetricValue
    map75: float | None
    ar100: float | None
    by_size: tuple[SizeResult, ...]
    per_class: tuple[BoxClassResult, ...]
    precision: float | None
    recall: float | None
    f1: float | None
    errors: tuple[BoxErrors, ...]
    recall_at_false_positives: tuple[RecallAtFalsePositives, ...]
    purpose: str
    resamples: int
    groups: int | None = None
    operating: tuple[OperatingResult, ...] = ()
    slices: SliceResults | None = None
    task: Literal["boxes"] = "boxes"

    def __repr__(self) -> str:
        return (
            f"Evaluation(mAP50 {describe_metric(self.map50)}, mAP50-95 "
            f"{describe_metric(self.map)} on {self.images:,} images with {self.boxes:,} boxes)"
        )

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        return self.to_html()

    def to_html(self, trained_on: Sequence[int] = ()) -> str:
        """Return the results by class as an HTML table.

        Args:
            trained_on: The number of training boxes of each class, or nothing if unknown.
        """
        columns = ["class", "AP>", "AP50>", "recall>", "precision>", "boxes>"]
        rows = map(_cells, self.per_class)
        return html_table(repr(self), columns, rows, trained_on=trained_on)

    @property
    def boxes(self) -> int:
        """The number of true boxes, without crowds."""
        return sum(result.boxes for result in self.per_class)

    @property
    def slice_warnings(self) -> tuple[str, ...]:
        """What differs between slices by more than chance, in sentences."""
        return self.slices.warnings if self.slices else ()

    @property
    def verdict(self) -> str:
        """The main metric in words."""
        value = self.map50.value
        return "mAP50 not defined" if value is None else f"mAP50 {value:.3f}"

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes without true boxes, which are not measured."""
        return tuple(result.name for result in self.per_class if not result.boxes)

    def headline(self) -> dict[str, JsonValue]:
        """Return the scalar metrics, as JSON values."""
        sizes: dict[str, JsonValue] = {}
        for one in self.by_size:
            sizes |= {f"map_{one.size}": one.ap, f"ar100_{one.size}": one.ar100}
        return {
            "images": self.images,
            "boxes": self.boxes,
            **self.map.to_json("map"),
            **self.map50.to_json("map50"),
            "map75": self.map75,
            "ar100": self.ar100,
            **sizes,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }

    def to_json(self, trained_on: Sequence[int] = ()) -> dict[str, JsonValue]:
        """Return the scalar metrics and those of each class, as JSON values.

        Args:
            trained_on: The number of training boxes of each class, or nothing if unknown.
        """
        per_class: list[JsonValue] = [
            result.to_json(count) for result, count in zip_longest(self.per_class, trained_on)
        ]
        return self.headline() | {
            "classes_without_boxes": list(self.absent),
            "boxes_by_size": {one.size: one.boxes for one in self.by_size},
            "errors": {one.kind: {"count": one.count, "gain": one.gain} for one in self.errors},
            "recall_at_false_positives": _recalls(self.recall_at_false_positives),
            "operating_point": self.purpose,
            "groups": self.groups,
            "slices": self.slices.to_json() if self.slices else None,
            "per_class": per_class,
        }

    def matrices(self) -> dict[str, JsonValue]:
        """Return the precision-recall curves by class, as JSON values."""
        return {
            "precision_recall": {
                result.name: [list(point) for point in result.precision_recall]
                for result in self.per_class
            }
        }


def _recalls(results: Sequence[RecallAtFalsePositives]) -> list[JsonValue]:
    return [
        {"false_positives": one.false_positives, "recall": one.recall, "threshold": one.threshold}
        for one in results
    ]


def _cells(result: BoxClassResult) -> tuple[str, ...]:
    metrics = (result.ap, result.ap50, result.recall, result.precision)
    values = ("\u2013" if value is None else f"{value:.3f}" for value in metrics)
    return result.name, *values, f"{result.boxes:,}"
