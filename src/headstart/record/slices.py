"""The metrics of slices of the images, such as one sex, site or scanner."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from headstart.record.estimates import MetricValue, describe_metric

_TITLES = {
    "macro_f1": "macro-F1",
    "f1": "F1",
    "map": "mAP50-95",
    "map50": "mAP50",
    "auroc": "AUROC",
    "macro_auroc": "macro AUROC",
    "macro_ap": "macro average precision",
    "ppv": "PPV",
    "npv": "NPV",
}


def metric_title(name: str) -> str:
    """Return the name of a metric as it is shown, such as "macro AUROC" for "macro_auroc"."""
    return _TITLES.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class SliceResult:
    """The images with one value in a column.

    Attributes:
        column: The name of the column.
        value: The value, "" for images without one.
        images: The number of images.
        metrics: The metrics of these images, by name.
        difference: The tested metric minus that of all other images; None if one of them is
            undefined.
        p: The two-sided p-value of no difference, by permutation; None without a difference.
        adjusted_p: The same after Holm's correction for all slices.
        differs: Whether the slice differs from all other images by more than chance: whether the
            corrected p-value is below 0.05.
    """

    column: str
    value: str
    images: int
    metrics: Mapping[str, MetricValue]
    difference: float | None
    p: float | None
    adjusted_p: float | None
    differs: bool

    @property
    def title(self) -> str:
        """The value as it is shown."""
        return self.value or "(no value)"

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "column": self.column,
            "value": self.value,
            "images": self.images,
        }
        for name, metric in self.metrics.items():
            values |= metric.to_json(name)
        return values | {
            "difference": self.difference,
            "p": self.p,
            "adjusted_p": self.adjusted_p,
            "differs": self.differs,
        }


@dataclass(frozen=True)
class SliceResults:
    """The slices of all columns.

    Attributes:
        tested: The name of the metric by which slices are compared and sorted; higher is better.
        slices: The slices, worst first, undefined ones last.
    """

    tested: str
    slices: tuple[SliceResult, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the tested one first."""
        names = dict.fromkeys(name for one in self.slices for name in one.metrics)
        return tuple(dict.fromkeys([self.tested, *names]))

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each slice that differs; of two values of a column, for the worse one."""
        return tuple(self._warning(one) for one in self.slices if one.differs and self._says(one))

    def _says(self, one: SliceResult) -> bool:
        column = [other for other in self.slices if other.column == one.column]
        return len(column) > 2 or one is column[0]

    def _warning(self, one: SliceResult) -> str:
        difference = one.difference or 0.0
        direction = "below" if difference < 0 else "above"
        title = metric_title(self.tested)
        return (
            f"Where '{one.column}' is '{one.title}' ({one.images:,} images), the {title} is "
            f"{describe_metric(one.metrics[self.tested])}, {abs(difference):.3f} {direction} that "
            f"of all other images. This is more than chance (p = {one.adjusted_p:.2g}, by "
            "permutation, corrected for the number of slices)."
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"tested": self.tested, "values": [one.to_json() for one in self.slices]}
