"""What predictions at an operating point are worth."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from headstart.record.estimates import Interval, MetricValue

_LARGE = 1000


@dataclass(frozen=True)
class OperatingResult:
    """The predictions of one label at its threshold.

    A metric is None where no image counts: sensitivity without positive images, for example.

    Attributes:
        name: The label or, of two classes, the positive one.
        purpose: What the threshold was chosen for, such as "sensitivity=0.95".
        threshold: The label is predicted if its probability is at least this.
        shortfall: Why the purpose is not reached, in sentences; "" if it is.
        positives: The number of images with the label.
        negatives: The number of images without it.
        sensitivity: The share of positive images that are predicted positive.
        specificity: The share of negative images that are predicted negative.
        ppv: The share of positive images among those predicted positive.
        npv: The share of negative images among those predicted negative.
        positive_ratio: Positive likelihood ratio: sensitivity / (1 - specificity).
        negative_ratio: Negative likelihood ratio: (1 - sensitivity) / specificity.
        prevalence: The stated share of positive images where the model is used; None without one.
        ppv_at_prevalence: PPV at that prevalence.
        npv_at_prevalence: NPV at that prevalence.
    """

    name: str
    purpose: str
    threshold: float
    shortfall: str
    positives: int
    negatives: int
    sensitivity: MetricValue
    specificity: MetricValue
    ppv: MetricValue
    npv: MetricValue
    positive_ratio: MetricValue
    negative_ratio: MetricValue
    prevalence: float | None = None
    ppv_at_prevalence: MetricValue | None = None
    npv_at_prevalence: MetricValue | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "class": self.name,
            "operating_point": self.purpose,
            "threshold": self.threshold,
            "shortfall": self.shortfall,
            "positives": self.positives,
            "negatives": self.negatives,
            **self.sensitivity.to_json("sensitivity"),
            **self.specificity.to_json("specificity"),
            **self.ppv.to_json("ppv"),
            **self.npv.to_json("npv"),
            **self.positive_ratio.to_json("positive_likelihood_ratio"),
            **self.negative_ratio.to_json("negative_likelihood_ratio"),
        }
        if self.ppv_at_prevalence and self.npv_at_prevalence:
            values["prevalence"] = self.prevalence
            values |= self.ppv_at_prevalence.to_json("ppv_at_prevalence")
            values |= self.npv_at_prevalence.to_json("npv_at_prevalence")
        return values

    def __str__(self) -> str:
        """Describe the operating point in a sentence, with 95% intervals in brackets."""
        shares = [
            ("sensitivity", self.sensitivity),
            ("specificity", self.specificity),
            ("PPV", self.ppv),
            ("NPV", self.npv),
        ]
        ratios = [("likelihood ratios", self.positive_ratio), ("and", self.negative_ratio)]
        parts = [f"{name} {_percent(metric)}" for name, metric in shares]
        parts.append(" ".join(f"{name} {_ratio(metric)}" for name, metric in ratios))
        if self.ppv_at_prevalence and self.npv_at_prevalence and self.prevalence is not None:
            parts.append(
                f"at a prevalence of {self.prevalence:.2%}, PPV {_percent(self.ppv_at_prevalence)} "
                f"and NPV {_percent(self.npv_at_prevalence)}"
            )
        shortfall = f" {self.shortfall}" if self.shortfall else ""
        return (
            f"'{self.name}' at {self.purpose} (probability of at least {self.threshold:.3f}): "
            f"{', '.join(parts)}.{shortfall}"
        )


def _percent(metric: MetricValue) -> str:
    if metric.value is None:
        return "not defined"
    return _with_bounds(metric.value, metric.ci95, "{:.1%}".format)


def _ratio(metric: MetricValue) -> str:
    if metric.value is None:
        return "not defined"
    return _with_bounds(metric.value, metric.ci95, times)


def times(ratio: float) -> str:
    """Return a ratio as text; with few images, the upper end of an interval is astronomical."""
    return f"{ratio:.2f}" if ratio <= _LARGE else f"over {_LARGE:,}"


def _with_bounds(value: float, interval: Interval | None, text: Callable[[float], str]) -> str:
    bounds = f" ({text(interval[0])} to {text(interval[1])})" if interval else ""
    return text(value) + bounds
