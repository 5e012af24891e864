"""The evaluation of a model for several labels per image: its metrics on labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from pydantic import JsonValue

from headstart.notebook import html_table
from headstart.record.estimates import MetricValue, describe_metric
from headstart.record.operating import OperatingResult
from headstart.record.slices import SliceResults

CurvePoint = tuple[float, float]
"""A point of a curve: x and y, each 0 to 1."""


@dataclass(frozen=True)
class Means:
    """A metric of all labels together. Labels that are not measured are left out.

    Attributes:
        macro: The mean over labels, each with the same weight.
        micro: The metric of all pairs of an image and a label, as if they were of one label.
        weighted: The mean over labels, weighted by their positive images.
    """

    macro: MetricValue
    micro: MetricValue
    weighted: MetricValue

    def to_json(self, name: str) -> dict[str, JsonValue]:
        """Return the means with their intervals, as JSON values with names."""
        weighted = {f"weighted_{name}": self.weighted.value}
        return self.macro.to_json(f"macro_{name}") | self.micro.to_json(f"micro_{name}") | weighted


@dataclass(frozen=True)
class LabelBin:
    """Images for which a label was predicted with similar probability.

    Attributes:
        probability: The mean predicted probability of the label.
        frequency: The share of the images that have the label.
        images: The number of images.
    """

    probability: float
    frequency: float
    images: int


@dataclass(frozen=True)
class LabelResult:
    """Results for one label, on the images for which it is known.

    A label that no image has, or that all images have, cannot be measured: its metrics are None,
    and its curves are empty.

    Attributes:
        name: The name of the label.
        known: The number of images for which it is known whether they have the label.
        positives: The number of these that have it.
        prevalence: The share of these that have it.
        auroc: Area under the ROC curve.
        average_precision: The mean of the precisions at the thresholds of the positive images.
        threshold: The label is predicted if its probability is at least this.
        precision: The share of the images with the predicted label that have it; undefined if it
            was never predicted.
        recall: The share of the images with the label for which it was predicted (sensitivity).
        specificity: The share of the images without the label for which it was not predicted.
        f1: Harmonic mean of precision and recall.
        ece: Expected calibration error of the label's probability (Naeini et al., 2015), 15 bins
            of equal width.
        roc: The ROC curve, from (0, 0) to (1, 1): false positive rate and recall. Points of long
            curves are thinned out.
        precision_recall: Recall and precision at the thresholds of positive images, by increasing
            recall, thinned out likewise.
        reliability: The bins of the probability that contain images.
    """

    name: str
    known: int
    positives: int
    prevalence: MetricValue
    auroc: MetricValue
    average_precision: MetricValue
    threshold: float
    precision: MetricValue
    recall: MetricValue
    specificity: MetricValue
    f1: MetricValue
    ece: float | None
    roc: tuple[CurvePoint, ...]
    precision_recall: tuple[CurvePoint, ...]
    reliability: tuple[LabelBin, ...]

    @property
    def unmeasured(self) -> str:
        """Why the label is not measured, as a clause; "" if it is."""
        if not self.known:
            return "unknown for all images"
        if not self.positives:
            return "no image has it"
        return "all images have it" if self.positives == self.known else ""

    def to_json(self, trained_on: int | None = None) -> dict[str, JsonValue]:
        """Return plain JSON values, with the number of training images if it is known."""
        return {
            "class": self.name,
            "images": self.positives,
            "known": self.known,
            **self.prevalence.to_json("prevalence"),
            **self.auroc.to_json("auroc"),
            **self.average_precision.to_json("ap"),
            "threshold": self.threshold,
            **self.precision.to_json("precision"),
            **self.recall.to_json("recall"),
            **self.specificity.to_json("specificity"),
            **self.f1.to_json("f1"),
            "ece": self.ece,
            "trained_on": trained_on,
        }


@dataclass(frozen=True)
class MultiEvaluation:
    """The evaluation of predictions for images with any number of labels each.

    Unknown values are left out of all metrics.

    Attributes:
        images: The number of images.
        per_class: Results for each label, in the order of the classes.
        auroc: Means of the AUROC over labels.
        average_precision: Means of the average precision.
        f1: Means of F1 at the thresholds.
        subset_accuracy: The share of images for which all known labels are predicted correctly.
        ranking_loss: The share of pairs of a present and an absent label of an image in which the
            absent label does not have the lower probability, mean over images that have a pair
            or are fully known; None with fewer than two labels, or without such images.
        ece: Mean expected calibration error of the labels that are measured; None without any.
        log_loss: Mean of -log(probability of the true value) over all known values; None without
            any.
        cooccurrence: The number of images that have both labels, among those for which both are
            known; on the diagonal, images that have the label.
        predicted_cooccurrence: The number of the same images for which both labels are predicted.
        prevalence: Mean prevalence of the labels that are measured, which is the macro average
            precision of random probabilities; None without any.
        resamples: The number of resamples of bootstrap intervals.
        groups: The number of groups of dependent images, which are resampled as a whole; None if
            images are independent.
        operating: The predictions of each measured label at its threshold.
        slices: The metrics of the values of columns; None if nothing was sliced.
        task: The name of the task.
    """

    images: int
    per_class: tuple[LabelResult, ...]
    auroc: Means
    average_precision: Means
    f1: Means
    subset_accuracy: MetricValue
    ranking_loss: float | None
    ece: float | None
    log_loss: float | None
    cooccurrence: tuple[tuple[int, ...], ...]
    predicted_cooccurrence: tuple[tuple[int, ...], ...]
    prevalence: float | None
    resamples: int
    groups: int | None = None
    operating: tuple[OperatingResult, ...] = ()
    slices: SliceResults | None = None
    task: Literal["multi"] = "multi"

    def __repr__(self) -> str:
        labels = len(self.measured)
        return (
            f"Evaluation(macro AUROC {describe_metric(self.auroc.macro)} over {labels:,} "
            f"label{'' if labels == 1 else 's'} on {self.images:,} images; "
            f"macro average precision {describe_metric(self.average_precision.macro)})"
        )

    def _repr_html_(self) -> str:
        """Return the results by label, for notebooks."""
        return self.to_html()

    def to_html(self, trained_on: Sequence[int] = ()) -> str:
        """Return the results by label as an HTML table.

        Args:
            trained_on: The number of training images with each label, or nothing if unknown.
        """
        columns = ["label", "AUROC>", "average precision>", "recall>", "precision>", "images>"]
        rows = map(_cells, self.per_class)
        return html_table(repr(self), columns, rows, trained_on=trained_on)

    @property
    def slice_warnings(self) -> tuple[str, ...]:
        """What differs between slices by more than chance, in sentences."""
        return self.slices.warnings if self.slices else ()

    @property
    def verdict(self) -> str:
        """The main metric in words."""
        macro = self.auroc.macro.value
        return "macro AUROC not defined" if macro is None else f"macro AUROC {macro:.3f}"

    @property
    def measured(self) -> tuple[LabelResult, ...]:
        """The labels that are measured, to which the means refer."""
        return tuple(result for result in self.per_class if not result.unmeasured)

    @property
    def unmeasured(self) -> tuple[LabelResult, ...]:
        """The labels that are not measured."""
        return tuple(result for result in self.per_class if result.unmeasured)

    def headline(self) -> dict[str, JsonValue]:
        """Return the scalar metrics, as JSON values."""
        return {
            "images": self.images,
            **self.auroc.to_json("auroc"),
            **self.average_precision.to_json("ap"),
            **self.f1.to_json("f1"),
            **self.subset_accuracy.to_json("subset_accuracy"),
            "ranking_loss": self.ranking_loss,
            "macro_prevalence": self.prevalence,
            "ece": self.ece,
            "log_loss": self.log_loss,
        }

    def to_json(self, trained_on: Sequence[int] = ()) -> dict[str, JsonValue]:
        """Return the scalar metrics and those of each label, as JSON values.

        Args:
            trained_on: The number of training images with each label, or nothing if unknown.
        """
        per_class: list[JsonValue] = [
            result.to_json(count) for result, count in zip_longest(self.per_class, trained_on)
        ]
        return self.headline() | {
            "not_measured": {result.name: result.unmeasured for result in self.unmeasured},
            "groups": self.groups,
            "operating_point": [result.to_json() for result in self.operating],
            "slices": self.slices.to_json() if self.slices else None,
            "per_class": per_class,
        }

    def matrices(self) -> dict[str, JsonValue]:
        """Return how often labels occur together, as JSON values."""
        return {
            "cooccurrence": [list(row) for row in self.cooccurrence],
            "predicted_cooccurrence": [list(row) for row in self.predicted_cooccurrence],
        }


def _cells(result: LabelResult) -> tuple[str, ...]:
    metrics = (result.auroc, result.average_precision, result.recall, result.precision)
    values = ("\u2013" if one.value is None else f"{one.value:.3f}" for one in metrics)
    return result.name, *values, f"{result.positives:,}"
