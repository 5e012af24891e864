"""Compare two models on the same images: the difference of a metric, its interval and a test."""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import binom, norm

from headstart.arrays import Flags, Rows
from headstart.evaluation.bootstrap import RESAMPLES, bootstrap
from headstart.evaluation.delong import compare_auroc
from headstart.evaluation.intervals import Z95, paired_difference
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    Difference,
    Metric,
    Rate,
    measure_once,
)
from headstart.record import Interval
from headstart.record.comparison import MetricDifference


@dataclass(frozen=True)
class PairedDifference:
    """The metric of a second model minus that of a first one, on the same images.

    Attributes:
        first: The metric of the first model; None if it is undefined.
        second: The metric of the second model; None if it is undefined.
        ci95: The 95% interval of the difference; None if it cannot be estimated.
        p: The two-sided p-value of no difference, 0 to 1; None if it cannot be estimated.
        method: The test.
    """

    first: float | None
    second: float | None
    ci95: Interval | None
    p: float | None
    method: str

    @property
    def value(self) -> float | None:
        """The difference; None if one of the metrics is undefined."""
        return None if self.first is None or self.second is None else self.second - self.first


def compare(
    first: Metric,
    second: Metric,
    groups: Rows | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Compare a metric of two models on the same images.

    Without groups, accuracies are compared by McNemar's test with mid-p-values (Fagerland,
    Lydersen and Laake, 2013) and the interval of Agresti and Min (2005), AUROCs of two classes by
    DeLong's test. With groups, and for all other metrics, the standard error is that of the
    bootstrap of the difference, over images or whole groups.

    Args:
        first: The metric of the first model.
        second: The metric of the second model.
        groups: The number of each image's group, shape (images,); None if images are independent.
        resamples: The number of resamples.
        seed: The seed of the bootstrap.
    """
    values = measure_once(first), measure_once(second)
    if None in values:
        return PairedDifference(*values, None, None, "undefined")
    if groups is None and isinstance(first, Rate) and isinstance(second, Rate):
        hits, others = first.hits[first.among], second.hits[second.among]
        interval = paired_difference(others, hits)
        return PairedDifference(*values, interval, mcnemar(hits, others), "McNemar, mid-p")
    if groups is None and isinstance(first, AreaUnderRoc) and isinstance(second, AreaUnderRoc):
        area = compare_auroc(second.scores, first.scores, first.positive)
        assert area is not None  # Both areas are defined.
        return PairedDifference(*values, area.ci95, area.p, "DeLong")
    found = bootstrap(Difference(second, first), groups, resamples=resamples, seed=seed)
    method = "bootstrap" if groups is None else "cluster bootstrap"
    if found.value is None or not found.standard_error:
        return PairedDifference(*values, None, 1.0 if found.value == 0 else None, method)
    error = found.standard_error
    interval = found.value - Z95 * error, found.value + Z95 * error
    p = float(2 * norm.sf(abs(found.value) / error))
    return PairedDifference(*values, interval, p, method)


def compare_metrics(
    first: Mapping[str, Metric],
    second: Mapping[str, Metric],
    groups: Rows | None = None,
    *,
    resamples: int = RESAMPLES,
) -> tuple[MetricDifference, ...]:
    """Compare all metrics of two models on the same images; see `compare`."""
    found = {
        name: compare(first[name], second[name], groups, resamples=resamples) for name in first
    }
    return tuple(
        MetricDifference(name, one.first, one.second, one.value, one.ci95, one.p, one.method)
        for name, one in found.items()
    )


def mcnemar(first: Flags, second: Flags) -> float:
    """Return the two-sided mid-p-value of McNemar's test.

    Only images that one of the models predicts correctly and the other does not count. The mid-p
    has about the chosen rate of false alarms, where the exact test has half of it.

    Args:
        first: Which images the first model predicts correctly, shape (images,).
        second: The same for the second model.
    """
    gained, lost = int((~first & second).sum()), int((first & ~second).sum())
    discordant, fewer = gained + lost, min(gained, lost)
    if not discordant:
        return 1.0
    below, at = binom.cdf(fewer, discordant, 0.5), binom.pmf(fewer, discordant, 0.5)
    return min(1.0, float(2 * below - at))
