"""Estimates of accuracy on held-out images, and what raises doubts about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

Interval = tuple[float, float]
"""The bounds of a 95% confidence interval."""

Use = Literal["backbone", "choice", "calibration", "tuning"]
"""What a validation part was used for: to choose the backbone or the head, to calibrate, to
fine-tune."""


GroupSource = Literal["given", "column", "series", "names"]
"""Where groups of images are from; see `Leakage`."""

_SOURCES: dict[GroupSource, str] = {
    "given": "as given",
    "column": "guessed by a column of the table",
    "series": "guessed by similar images",
    "names": "guessed by the names of the files",
}

_USES: dict[Use, str] = {
    "backbone": "chose the backbone",
    "choice": "chose the model",
    "calibration": "calibrated it",
    "tuning": "decided on fine-tuning",
}


def describe_use(uses: Sequence[Use]) -> str:
    """Return what a validation part did, as a predicate, and that its results are optimistic."""
    if not uses:
        return "was not used to choose or calibrate the model"
    *others, last = [_USES[use] for use in uses]
    done = f"{', '.join(others)} and {last}" if others else last
    return f"also {done}, so these results are optimistic"


@dataclass(frozen=True)
class Estimate:
    """The performance of a candidate on images that it was not fitted on.

    Attributes:
        accuracy: The share of images classified correctly.
        accuracy_ci95: Wilson interval.
        log_loss: Mean over the images.
        images: The number of images.
    """

    accuracy: float
    accuracy_ci95: Interval
    log_loss: float
    images: int


@dataclass(frozen=True)
class Disagreement:
    """A part of the data on which the accuracy is not the one that the folds estimate.

    Attributes:
        part: "val" or "test".
        folds: The accuracy on the held-out folds of the training part.
        measured: The accuracy on the part.
        difference_ci95: Interval of the first minus the second; it does not contain 0.
        message: The disagreement and its likely reasons, in sentences for the user.
    """

    part: Literal["val", "test"]
    folds: float
    measured: float
    difference_ci95: Interval
    message: str


@dataclass(frozen=True)
class Series:
    """Training images that look like series: near copies of one subject.

    Attributes:
        pattern: A regular expression on the path that groups them, with one group; None if names do
            not tell, and clusters of similar images are taken for series.
        count: The number of series; without a pattern, of clusters.
        images: The number of training images in them.
        share: The share of these whose most similar image of the same class is in their series;
            without a pattern, the share of training images that are much nearer to such an image
            than to others.
        chance: That share if similarity did not depend on the series; None without a pattern.
        message: The finding and what to do, in sentences for the user.
    """

    pattern: str | None
    count: int
    images: int
    share: float
    chance: float | None
    message: str


@dataclass(frozen=True)
class Leakage:
    """What folds say of the frozen head with and without groups of images that belong together.

    Attributes:
        groups: The number of groups.
        source: Where they are from: "given" by the user, or guessed by a "column" of the table, by
            "series" of similar images or by "names" of files.
        ungrouped: The estimate on folds that keep only copies of an image together.
        grouped: The estimate on folds that keep the groups whole.
        difference_ci95: 95% interval of the difference in accuracy, ungrouped minus grouped; None
            in records of earlier versions.
    """

    groups: int
    source: GroupSource
    ungrouped: Estimate
    grouped: Estimate
    difference_ci95: Interval | None = None

    @property
    def message(self) -> str:
        """Both estimates, in a sentence, and whether their difference may be due to chance."""
        before, after = self.ungrouped, self.grouped
        low, high = self.difference_ci95 or (0.0, 0.0)
        chance = " The difference may be due to chance." if low < 0 < high else ""
        return (
            f"Accuracy on folds: ungrouped {before.accuracy:.2f}, grouped {after.accuracy:.2f} "
            f"(log loss {before.log_loss:.3f} and {after.log_loss:.3f}; {self.groups:,} groups, "
            f"{_SOURCES[self.source]}).{chance}"
        )


IntervalMethod = Literal[
    "Wilson",
    "DeLong",
    "bootstrap",
    "cluster bootstrap",
    "Wilson, groups",
    "Newcombe, groups",
    "Hanley-McNeil, groups",
]
"""How an interval was computed. With the last four, images of a group are dependent."""


@dataclass(frozen=True)
class MetricValue:
    """A metric with its interval.

    Attributes:
        value: The metric; None if it is undefined for these images.
        ci95: Its 95% interval; None if it was not computed or cannot be estimated.
        method: How the interval was computed; None without one.
    """

    value: float | None
    ci95: Interval | None = None
    method: IntervalMethod | None = None

    def to_json(self, name: str) -> dict[str, JsonValue]:
        """Return the metric and its interval, as JSON values with names."""
        return {name: self.value, f"{name}_ci95": list(self.ci95) if self.ci95 else None}


def describe_metric(metric: MetricValue) -> str:
    """Return a metric with three decimals and its interval, such as "0.873 (0.851 to 0.893)"."""
    if metric.value is None:
        return "not defined"
    if metric.ci95 is None:
        return f"{metric.value:.3f}"
    low, high = metric.ci95
    return f"{metric.value:.3f} ({low:.3f} to {high:.3f})"
