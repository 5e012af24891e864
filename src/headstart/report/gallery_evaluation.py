"""The page of an evaluation of a gallery: measures, distances, labels, and the worst misses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.record.estimates import MetricValue
from headstart.record.gallery_evaluation import (
    DistanceHistogram,
    GalleryEvaluation,
    Match,
    Miss,
)
from headstart.report.axes import LinearAxis, Tick, round_step
from headstart.report.page import frequent_reasons, page_policy, render_template
from headstart.report.pictures import Pictures

if TYPE_CHECKING:
    from headstart.galleries.settings import Trial

_LABELS, _CONFUSIONS = 500, 20
_WIDTH, _HEIGHT = 100.0, 60.0
_TICKS = 5


@dataclass(frozen=True)
class Figure:
    """A measure with what it means.

    Attributes:
        name: What it is called.
        metric: Its value and interval.
        meaning: What it is, in a sentence.
    """

    name: str
    metric: MetricValue
    meaning: str


@dataclass(frozen=True)
class HistogramPlot:
    """The histogram of distances, 100 wide and 60 high; the y axis points down.

    Attributes:
        same: The outline of the distances of the same item.
        strangers: The outline of those of strangers.
        limit: Where the gallery's limit is; None without one.
        x_ticks: Distances.
        y_ticks: Shares of the images.
    """

    same: tuple[tuple[float, float], ...]
    strangers: tuple[tuple[float, float], ...]
    limit: float | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class ShownMatch:
    """An image of a miss.

    Attributes:
        title: What it is: the image that was looked up, the one found, or the nearest right one.
        image: Its name.
        label: Its label.
        distance: Its distance to the image that was looked up; None for that image itself.
        source: The picture as a `data:` URI; "" without one.
    """

    title: str
    image: str
    label: str
    distance: float | None
    source: str


def render_gallery_evaluation(
    record: GalleryEvaluation, trials: Sequence[Trial], queries: Pictures, enrolled: Pictures
) -> str:
    """Render the page; see `page.render_report`.

    Args:
        record: The evaluation.
        trials: The embeddings that were tried when the gallery was made, the best first.
        queries: Shows images that were looked up, by name.
        enrolled: Shows enrolled images, by name; without any, names are shown instead.
    """
    measures = record.measures
    return render_template(
        "gallery_evaluation.html.jinja",
        record=record,
        title=Path(record.gallery).resolve().name,
        policy=page_policy(None),
        created_at=datetime.fromisoformat(record.created),
        figures=tuple(figures(record)),
        plot=plot_histogram(measures.histogram, measures.own_limit.distance),
        per_label=measures.per_label[:_LABELS],
        confusions=measures.confusions[:_CONFUSIONS],
        misses=_shown(measures.misses, queries, enrolled),
        accepted=_shown(measures.accepted, queries, enrolled),
        trials=trials,
        rejected=record.rejected,
        reasons=frequent_reasons(record.rejected),
    )


def figures(record: GalleryEvaluation) -> Iterator[Figure]:
    """Yield the measures that do not depend on the gallery's own limit."""
    measures = record.measures
    enrolled = "other enrolled" if record.data is None else "enrolled"
    for count, metric in (
        (1, measures.recall_at_1),
        (5, measures.recall_at_5),
        (10, measures.recall_at_10),
    ):
        nearest = "nearest" if count == 1 else f"{count} nearest"
        holds = "has" if count == 1 else "include one of"
        images = "image" if count == 1 else "images"
        yield Figure(
            f"Recall@{count}",
            metric,
            f"The share of images whose {nearest} {enrolled} {images} {holds} their label.",
        )
    yield Figure(
        "mAP@R",
        measures.map_at_r,
        "Where R images have the label: how many of the R nearest have it, and how early they "
        "come; 100% if all R come first (Musgrave et al., 2020).",
    )
    for one in measures.open_set.identified:
        yield Figure(
            f"Identified at {one.false_accepts:.0%} false accepts",
            one.rate,
            f"The share of images whose nearest image has their label and is nearer than a limit "
            f"that {one.false_accepts:.0%} of strangers pass"
            + ("." if one.limit is None else f", here {one.limit:.3f}."),
        )


def plot_histogram(histogram: DistanceHistogram, limit: float | None) -> HistogramPlot:
    """Plot the shares of both kinds of images in each bin."""
    highest = histogram.edges[-1]
    same, strangers = _shares(histogram.same), _shares(histogram.strangers)
    axis = LinearAxis.around([0.0, *same, *strangers])
    levels = ((_HEIGHT * (1 - axis.fraction(level)), level) for level in axis.levels)
    return HistogramPlot(
        tuple(_outline(histogram.edges, same, axis)),
        tuple(_outline(histogram.edges, strangers, axis)),
        None if limit is None else _WIDTH * limit / highest,
        tuple(_x_ticks(highest)),
        tuple(Tick(position, f"{100 * level:.3g}") for position, level in levels),
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [count / total for count in counts]


def _outline(
    edges: Sequence[float], shares: Sequence[float], axis: LinearAxis
) -> Iterator[tuple[float, float]]:
    """Yield the corners of the bars' common outline, from the left end of the axis to the right."""
    yield 0.0, _HEIGHT
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        height = _HEIGHT * (1 - axis.fraction(share))
        yield _WIDTH * left / edges[-1], height
        yield _WIDTH * right / edges[-1], height
    yield _WIDTH, _HEIGHT


def _x_ticks(highest: float) -> Iterator[Tick]:
    step = round_step(highest / _TICKS)
    for number in range(int(highest / step + 1e-9) + 1):
        yield Tick(_WIDTH * number * step / highest, f"{number * step:.3g}")


def _shown(
    misses: Sequence[Miss], queries: Pictures, enrolled: Pictures
) -> tuple[tuple[ShownMatch, ...], ...]:
    return tuple(tuple(_of_miss(miss, queries, enrolled)) for miss in misses)


def _of_miss(miss: Miss, queries: Pictures, enrolled: Pictures) -> Iterator[ShownMatch]:
    source = queries.show(miss.image).source
    yield ShownMatch("Looked up", miss.image, miss.label, None, source)
    yield _of_match("Found" if miss.right else "Taken for", miss.found, enrolled)
    if miss.right:
        yield _of_match("Nearest right", miss.right, enrolled)


def _of_match(title: str, match: Match, pictures: Pictures) -> ShownMatch:
    source = pictures.show(match.image).source
    return ShownMatch(title, match.image, match.label, match.distance, source)
