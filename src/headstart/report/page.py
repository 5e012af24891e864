"""The page that shows what a training measured.

Nothing here is computed about the model: numbers are formatted, ordered and placed. The page is one
file that loads nothing, so it can be mailed, archived and opened years later.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from headstart.report.curves import tuning_gain, tuning_panels

LARGE = 15
"""Above this many classes, or rows, a table scrolls in its own container."""

WITH_SHARES = 8
"""Up to this many classes, a cell of the confusion matrix has room for its share of the row."""

CONFUSIONS_LISTED = 10
REASONS_LISTED = 8

_MARKS = 2
"""The fewest marks that an axis needs to be read."""

NOT_MEASURED = "\u2013"


@dataclass(frozen=True)
class Mistake:
    """A test image that the model got wrong: its relative name, a JPEG, and the confidence (0 to 1)
    in the predicted class."""

    image: str
    thumbnail: bytes
    label: str
    predicted: str
    probability: float

    @property
    def source(self) -> str:
        """The picture as a `data:` URI."""
        return "data:image/jpeg;base64," + b64encode(self.thumbnail).decode("ascii")


@dataclass(frozen=True)
class Cell:
    """How many images of one class were given one label, and their share of that class (0 to 1)."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion:
    """Images of class `label` that were taken for `predicted`: `count` out of `images`."""

    label: str
    predicted: str
    count: int
    images: int


@dataclass(frozen=True)
class Point:
    """A bin of the reliability diagram, in the units of its drawing."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Tick:
    """A line of a drawing's grid: where it is, 0 to 100, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A backbone in the drawing of accuracy against speed, x and y from 0 to 100, y down."""

    name: str
    x: float
    y: float
    low: float
    high: float
    on_front: bool


@dataclass(frozen=True)
class Field:
    """The drawing of accuracy against speed."""

    accuracies: list[Tick]
    speeds: list[Tick]
    dots: list[Dot]


def render_report(metrics: Mapping[str, Any], mistakes: Sequence[Mistake]) -> str:
    """One self-contained HTML page about the content of `metrics.json`.

    Everything in `metrics` and `mistakes` is shown as text, whatever it holds. The page can always
    be encoded as UTF-8: the undecodable bytes of a file name are shown as escapes.
    """
    measured = metrics["test"] is not None
    page = _template("report.html.jinja").render(
        metrics,
        created=datetime.fromisoformat(metrics["created"]),
        matrix=_matrix(metrics["confusion"]) if measured else [],
        confusions=_frequent_confusions(metrics) if measured else [],
        baseline=_baseline_class(metrics) if measured else None,
        weakest_first=sorted(metrics["per_class"], key=_recall) if measured else [],
        points=_points(metrics["reliability"]) if measured else [],
        mistakes=sorted(mistakes, key=lambda mistake: -mistake.probability),
        reasons=_frequent_reasons(metrics["rejected"]),
        recommendation=metrics.get("recommendation"),
        tuning=metrics.get("tuning"),
        gain=tuning_gain(metrics.get("tuning")),
        panels=tuning_panels(metrics.get("tuning")),
        field=_field(metrics.get("recommendation")),
    )
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def render_recommendation(metrics: Mapping[str, Any]) -> str:
    """One self-contained HTML page about which backbone to take, and what it was chosen from."""
    page = _template("recommendation.html.jinja").render(
        metrics, field=_field(metrics["recommendation"])
    )
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("headstart.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": _count,
        "decimal": _decimal,
        "interval": _interval,
        "percent": _percent,
        "position": _position,
        "signed": _signed,
        "size": _size,
    }
    environment.globals |= {"large": LARGE, "with_shares": WITH_SHARES}
    return environment.get_template(name)


def _matrix(confusion: Sequence[Sequence[int]]) -> list[list[Cell]]:
    return [
        [
            Cell(count, _share(count, sum(row)), right=truth == predicted)
            for predicted, count in enumerate(row)
        ]
        for truth, row in enumerate(confusion)
    ]


def _frequent_confusions(metrics: Mapping[str, Any]) -> list[Confusion]:
    classes = metrics["data"]["classes"]
    wrong = [
        Confusion(classes[truth], classes[predicted], count, sum(row))
        for truth, row in enumerate(metrics["confusion"])
        for predicted, count in enumerate(row)
        if truth != predicted and count
    ]
    return sorted(wrong, key=lambda pair: -pair.count)[:CONFUSIONS_LISTED]


def _baseline_class(metrics: Mapping[str, Any]) -> str | None:
    """The class whose share of the test images is the baseline's accuracy; None where classes tie.

    It is looked up by its share because the most frequent class of the training part need not be
    the most frequent one of the test part.
    """
    tested = metrics["data"]["images"]["test"]
    expected = round(metrics["test"]["majority"] * tested)
    matching = [row["class"] for row in metrics["per_class"] if row["images"] == expected]
    return matching[0] if len(matching) == 1 else None


def _points(reliability: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Bins by rising confidence; x and y run from 0 to 100, a larger dot stands for more images."""
    largest = max((bin_["images"] for bin_ in reliability), default=1)
    return [
        Point(
            x=100 * bin_["confidence"],
            y=100 * bin_["accuracy"],
            radius=1 + 3 * math.sqrt(bin_["images"] / largest),
        )
        for bin_ in sorted(reliability, key=lambda bin_: bin_["confidence"])
    ]


def _field(recommendation: Mapping[str, Any] | None) -> Field | None:
    """Place backbones by accuracy (linear) and images per second (logarithmic)."""
    if recommendation is None:
        return None
    tried = recommendation["backbones"]
    lowest = min(float(one["accuracy_ci95"][0]) for one in tried)
    highest = max(float(one["accuracy_ci95"][1]) for one in tried)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (highest - lowest) / step <= 6)
    bottom, top = math.floor(lowest / step) * step, math.ceil(highest / step) * step
    speeds = [math.log10(one["images_per_second"]) for one in tried]
    marks = [mark * 10**power for power in range(-2, 5) for mark in (1, 2, 5)]
    left, right = min(speeds) - 0.15, max(speeds) + 0.15
    while sum(left <= math.log10(mark) <= right for mark in marks) < _MARKS:
        left, right = left - 0.05, right + 0.05

    def height(accuracy: float) -> float:
        return 100 * (top - accuracy) / (top - bottom)

    def place(speed: float) -> float:
        return 100 * (math.log10(speed) - left) / (right - left)

    dots = [
        Dot(
            one["name"] if one["weights"] == "imagenet" else f"{one['name']} ({one['weights']})",
            place(one["images_per_second"]),
            height(one["accuracy"]),
            height(one["accuracy_ci95"][0]),
            height(one["accuracy_ci95"][1]),
            one["on_front"],
        )
        for one in sorted(tried, key=lambda one: one["images_per_second"])
    ]
    levels = [bottom + step * number for number in range(round((top - bottom) / step) + 1)]
    return Field(
        [Tick(height(level), f"{100 * level:.0f}") for level in levels],
        [Tick(place(mark), f"{mark:g}") for mark in marks if 0 <= place(mark) <= 100],
        dots,
    )


def _frequent_reasons(rejected: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    kinds = Counter(str(entry["reason"]).partition(":")[0] for entry in rejected)
    return kinds.most_common(REASONS_LISTED)


def _recall(row: Mapping[str, Any]) -> float:
    return float(row["recall"]) if _is_measured(row["recall"]) else math.inf


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _is_measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _tenths(fraction: float) -> str:
    """A percentage with one decimal that says 0.0 or 100.0 only where nothing was rounded away."""
    text = f"{100 * fraction:.1f}"
    if text == "100.0" and fraction < 1 - 1e-9:
        return "> 99.9"
    if text == "0.0" and fraction > 1e-9:
        return "< 0.1"
    return text


def _percent(fraction: float | None) -> str:
    if fraction is None or math.isnan(fraction):
        return NOT_MEASURED
    return f"{_tenths(fraction)} %".replace(" ", "\u00a0")


def _interval(bounds: Sequence[float] | None) -> str:
    if bounds is None or not all(map(_is_measured, bounds)):
        return NOT_MEASURED
    low, high = map(_tenths, bounds)
    return f"{low} to {high} %".replace(" ", "\u00a0")


def _decimal(value: float | None, digits: int = 3) -> str:
    if value is None or math.isnan(value):
        return NOT_MEASURED
    return f"{value:,.{digits}f}"


def _signed(difference: float) -> str:
    """A difference in points with its sign, '+1.2'; a minus as wide as the plus."""
    return f"{100 * difference:+.1f}".replace("-", "\u2212")


def _size(content: int) -> str:
    unit, divisor = ("GB", 1e9) if content >= 1e9 else ("MB", 1e6)
    return f"{content / divisor:,.1f}\u00a0{unit}"


def _count(number: int, singular: str = "", plural: str = "") -> str:
    """1,968 alone, or with its noun: '1 image', '1,968 images'."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}" if singular else f"{number:,}"


def _position(fraction: float) -> str:
    """A CSS length along a track that runs from 0 to 1."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"
