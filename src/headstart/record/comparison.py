"""What a comparison of models on the same images measured."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

from headstart.record.estimates import Interval
from headstart.record.slices import metric_title
from headstart.record.values import Rejection

_LEVEL = 0.05


@dataclass(frozen=True)
class MetricDifference:
    """A metric of a second model minus that of a first one, on the same images.

    Attributes:
        metric: The name of the metric.
        first: The metric of the first model; None if it is undefined.
        second: The metric of the second model; None if it is undefined.
        difference: The second minus the first; None if one of them is undefined.
        ci95: The 95% interval of the difference; None if it cannot be estimated.
        p: The two-sided p-value of no difference, 0 to 1; None if it cannot be estimated.
        method: The test.
    """

    metric: str
    first: float | None
    second: float | None
    difference: float | None
    ci95: Interval | None
    p: float | None
    method: str


@dataclass(frozen=True)
class SubsetDifference:
    """The shares of images of a class or slice that two models predict correctly.

    Attributes:
        column: "class", "label" or the column of the slice.
        value: The class, or the value in the column; "" if it is missing.
        images: The number of images.
        first: The share of the first model, 0 to 1.
        second: The share of the second model, 0 to 1.
        ci95: The 95% interval of the difference; None if it cannot be estimated.
        p: The p-value of no difference, corrected for the number of subsets (Holm, 1979); None if
            it cannot be estimated.
    """

    column: str
    value: str
    images: int
    first: float
    second: float
    ci95: Interval | None
    p: float | None


@dataclass(frozen=True)
class Pair:
    """A second model compared with a first one.

    Attributes:
        first: The name of the first model.
        second: The name of the second model.
        both: The number of images that both predict correctly.
        only_first: The number of images that only the first model predicts correctly.
        only_second: The number of images that only the second model predicts correctly.
        neither: The number of images that neither predicts correctly.
        differences: The metrics; the first one is tested.
        adjusted_p: The p-value of that metric, corrected for the number of pairs (Holm, 1979);
            None if it cannot be estimated.
        compared: The number of pairs.
        subsets: Each class and slice, the smallest p-value first.
        images_only_first: Names of images that only the first model predicts correctly, at most
            500.
        images_only_second: The same for the second model.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    differences: tuple[MetricDifference, ...]
    adjusted_p: float | None = None
    compared: int = 1
    subsets: tuple[SubsetDifference, ...] = ()
    images_only_first: tuple[str, ...] = ()
    images_only_second: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The result in a sentence."""
        tested = self.differences[0]
        title = metric_title(tested.metric)
        counts = (
            f"{self.only_second:,} image{'' if self.only_second == 1 else 's'} only "
            f"'{self.second}' predicts correctly, {self.only_first:,} only '{self.first}'"
        )
        if tested.difference is None or self.adjusted_p is None:
            return (
                f"The {title} of '{self.second}' and '{self.first}' cannot be compared: {counts}."
            )
        corrected = f", corrected for {self.compared} pairs" if self.compared > 1 else ""
        p = f"{_p(self.adjusted_p)}{corrected}"
        if self.adjusted_p >= _LEVEL:
            return (
                f"The {title} of '{self.second}' and '{self.first}' differs by no more than chance "
                f"may explain ({p}): {counts}."
            )
        verdict = f"{'higher' if tested.difference > 0 else 'lower'} than that of '{self.first}'"
        return f"The {title} of '{self.second}' is {verdict} ({p}): {counts}."


@dataclass(frozen=True)
class ComparisonRecord:
    """Everything that `compare` measured.

    Attributes:
        headstart: The version of headstart that measured it.
        created: Date and time in ISO 8601 with the time zone.
        models: The paths of the models.
        data: A short name of the data.
        split: The part of the data that was used: "all", "train", "val" or "test".
        images: The number of images.
        groups: The number of groups of images; None if images are independent.
        classes: The classes that all models have, which alone were compared.
        left_out: Classes that only some of the models have.
        pairs: All pairs of models, in the order in which they were passed.
        rejected: Images that were not used, with the reasons.
        warnings: What may be wrong with the data or the results, in sentences.
    """

    headstart: str
    created: str
    models: tuple[str, ...]
    data: str
    split: Literal["all", "train", "val", "test"]
    images: int
    groups: int | None
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    pairs: tuple[Pair, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Return all of it as plain JSON values."""
        return {
            "models": list(self.models),
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "groups": self.groups,
            "classes": list(self.classes),
            "left_out": list(self.left_out),
            "differences": list(self._differences()),
            "pairs": [
                {name: value for name, value in asdict(pair).items() if name != "differences"}
                for pair in self.pairs
            ],
            "rejected": [{"image": one.image, "reason": one.reason} for one in self.rejected],
            "warnings": list(self.warnings),
            "headstart": self.headstart,
            "created": self.created,
        }

    def _differences(self) -> Iterator[dict[str, JsonValue]]:
        for pair in self.pairs:
            for one in pair.differences:
                values = {"first": pair.first, "second": pair.second, "metric": one.metric}
                yield {
                    **values,
                    "first_value": one.first,
                    "second_value": one.second,
                    "difference": one.difference,
                    "ci95": list(one.ci95) if one.ci95 else None,
                    "p": one.p,
                    "method": one.method,
                }


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
