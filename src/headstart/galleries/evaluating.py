"""How well a gallery finds images, and how well it knows that some are not enrolled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.identification import IdentificationRate
from headstart.evaluation.intervals import wilson
from headstart.evaluation.measuring import measure
from headstart.evaluation.weighted_metrics import Metric, Rate, Ratio
from headstart.galleries.certainty import Certainty
from headstart.galleries.queries import Queries
from headstart.galleries.retrieval import LabelledPoints, Retrieval, look_up
from headstart.galleries.table import Enrolled
from headstart.record.estimates import MetricValue
from headstart.record.gallery_evaluation import (
    DistanceHistogram,
    GalleryMeasures,
    Identified,
    LabelConfusion,
    LabelRecall,
    Match,
    Miss,
    OpenSet,
    OwnLimit,
    QueryCounts,
)

FALSE_ACCEPTS = (0.01, 0.1)
"""The shares of strangers for which the identification rate is measured."""

LISTED = 24
"""The most misses that are listed."""

_STRANGER = -1
_BINS = 48


def evaluate_retrieval(
    queries: Queries, enrolled: Enrolled, certainty: Certainty
) -> GalleryMeasures:
    """Measure how well a gallery answers.

    Intervals are those of a bootstrap over groups; if each image is a group of its own, shares have
    Wilson's (see `measure`).

    Args:
        queries: The images that are looked up.
        enrolled: The images of the gallery.
        certainty: What distances say in it.
    """
    outcome = _Outcome.of(queries, enrolled)
    found, known = outcome.found, outcome.known
    limit = certainty.limit
    return GalleryMeasures(
        queries=outcome.counts(queries),
        recall_at_1=outcome.share(found.rank <= 1, known),
        recall_at_5=outcome.share(found.rank <= 5, known),
        recall_at_10=outcome.share(found.rank <= 10, known),
        map_at_r=outcome.measure(Ratio(found.precision_at_r, np.ones(len(found))), known),
        open_set=outcome.open_set(),
        own_limit=outcome.at_limit(certainty),
        per_label=outcome.per_label(),
        confusions=outcome.confusions(),
        misses=tuple(outcome.misses()),
        accepted=tuple(outcome.accepted(limit)),
        histogram=outcome.histogram(limit),
    )


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What was found for each query.

    Attributes:
        queries: The images that were looked up.
        enrolled: The images of the gallery.
        found: What was found.
        groups: The number of each query's group, (queries,).
        stranger: Which queries stand for strangers, (queries,).
        real: Whether these are of labels that are not enrolled.
    """

    queries: Enrolled
    enrolled: Enrolled
    found: Retrieval
    groups: Rows
    stranger: Flags
    real: bool

    @classmethod
    def of(cls, queries: Queries, enrolled: Enrolled) -> _Outcome:
        images = queries.images
        numbers = {name: number for number, name in enumerate(sorted(set(enrolled.labels)))}
        labels = np.array([numbers.get(name, _STRANGER) for name in images.labels])
        groups = np.unique(np.array(images.groups), return_inverse=True)[1]
        others = LabelledPoints(
            enrolled.points,
            np.array([numbers[name] for name in enrolled.labels]),
            groups if queries.own else np.full(len(enrolled), _STRANGER),
        )
        found = look_up(LabelledPoints(images.points, labels, groups), others)
        strangers = labels == _STRANGER
        real = bool(strangers.any())
        stand_ins = np.isfinite(found.other)
        return cls(images, enrolled, found, groups, strangers if real else stand_ins, real)

    @property
    def known(self) -> Flags:
        """Which queries can be found, (queries,)."""
        return np.asarray(self.found.rank > 0)

    @property
    def right(self) -> Flags:
        """Which queries have an image of their label nearest, (queries,)."""
        return np.asarray(self.found.rank == 1)

    def share(self, hits: Flags, among: Flags) -> MetricValue:
        """Return the share of some queries that are hits, with its interval."""
        return self.measure(Rate(hits, among), among)

    def measure(self, metric: Metric, among: Flags) -> MetricValue:
        """Return a metric of some queries with its interval.

        Where all resamples are 0 or 1, the interval is that of as many independent images as there
        are groups of known images.
        """
        rows = np.flatnonzero(among)
        found = measure(metric.take(rows), self.groups[rows])
        interval, method = found.ci95, found.method
        if interval is None and found.value in (0, 1):
            count = len(np.unique(self.groups[self.known]))
            interval = wilson(count if found.value else 0, count)
            method = "Wilson" if method == "bootstrap" else "Wilson, groups"
        return MetricValue(found.value, interval, method if interval else None)

    def counts(self, queries: Queries) -> QueryCounts:
        images, known = len(self.queries), int(self.known.sum())
        strangers = int(self.stranger.sum()) if self.real else 0
        groups = int(self.groups.max()) + 1
        return QueryCounts(
            *(images, known, images - known - strangers, strangers),
            groups if groups < images else None,
            queries.enrolled_before,
            queries.shared_group,
        )

    def open_set(self) -> OpenSet:
        rows = np.flatnonzero(self.stranger)
        independent = len(np.unique(self.groups[rows]))
        return OpenSet(
            len(rows),
            independent,
            len({self.queries.labels[row] for row in rows.tolist()}),
            not self.real,
            tuple(self._identified(share, independent) for share in FALSE_ACCEPTS),
        )

    def _identified(self, share: float, strangers: int) -> Identified:
        if strangers * share < 1 - 1e-9:  # Not even one of them may be accepted.
            return Identified(share, MetricValue(None), None)
        columns = (self.known, self.right, self.found.same, self.stranger, self.found.other)
        metric = IdentificationRate(*columns, share)
        limit = float(metric.limits(np.ones((1, len(self.queries))))[0])
        return Identified(share, self.measure(metric, self.known | self.stranger), limit)

    def at_limit(self, certainty: Certainty) -> OwnLimit:
        limit = certainty.limit
        known, right = self.known, self.right
        accepted = self._accepted(np.minimum(self.found.same, self.found.other), limit)
        passed = self._accepted(self.found.other, limit)
        return OwnLimit(
            limit,
            certainty.false_accepts,
            self.share(right & accepted, known),
            self.share(~right & accepted, known),
            self.share(~accepted, known),
            self.share(~passed, self.stranger),
        )

    @staticmethod
    def _accepted(distances: Numbers, limit: float | None) -> Flags:
        return np.asarray(distances <= (np.inf if limit is None else limit))

    def per_label(self) -> tuple[LabelRecall, ...]:
        enrolled = Counter(self.enrolled.labels)
        images, hits = Counter(self._labels(self.known)), Counter(self._labels(self.right))
        recalls = [
            LabelRecall(label, hits[label] / count, count, enrolled[label])
            for label, count in images.items()
        ]
        return tuple(sorted(recalls, key=lambda one: (one.recall_at_1, -one.images, one.label)))

    def confusions(self) -> tuple[LabelConfusion, ...]:
        images = Counter(self._labels(self.known))
        wrong = np.flatnonzero(self.known & ~self.right).tolist()
        pairs = Counter((self.queries.labels[row], self._match(row).label) for row in wrong)
        ranked = sorted(pairs.items(), key=lambda one: (-one[1], one[0]))
        return tuple(LabelConfusion(*pair, count, images[pair[0]]) for pair, count in ranked)

    def misses(self) -> Iterator[Miss]:
        """Yield the known images for which another label is nearer, the clearest misses first."""
        rows = np.flatnonzero(self.known & ~self.right)
        nearer = (self.found.same - self.found.other)[rows]
        yield from self._listed(rows[np.argsort(-nearer, kind="stable")])

    def accepted(self, limit: float | None) -> Iterator[Miss]:
        """Yield the strangers that are taken for an enrolled item, the nearest first."""
        taken = self.stranger & self._accepted(self.found.other, limit)
        rows = np.flatnonzero(taken if self.real else np.zeros_like(taken))
        yield from self._listed(rows[np.argsort(self.found.other[rows], kind="stable")])

    def histogram(self, limit: float | None) -> DistanceHistogram:
        same, other = self.found.same[self.known], self.found.other[self.stranger]
        highest = max(float(np.concatenate([same, other, [1.02 * (limit or 0)]]).max()), 1e-6)
        edges = np.linspace(0, highest, _BINS + 1)
        same_counts, other_counts = (
            tuple(np.histogram(np.clip(one, 0, highest), edges)[0].tolist())
            for one in (same, other)
        )
        return DistanceHistogram(tuple(edges.tolist()), same_counts, other_counts)

    def _labels(self, flags: Flags) -> Iterator[str]:
        return (self.queries.labels[row] for row in np.flatnonzero(flags).tolist())

    def _listed(self, rows: Rows) -> Iterator[Miss]:
        names, labels = self.queries.images, self.queries.labels
        for row in rows[:LISTED].tolist():
            right = None
            if self.known[row]:
                right = self._enrolled(self.found.same_row[row], self.found.same[row])
            yield Miss(names[row], labels[row], self._match(row), right)

    def _match(self, row: int) -> Match:
        return self._enrolled(self.found.other_row[row], self.found.other[row])

    def _enrolled(self, row: int, distance: float) -> Match:
        names: Sequence[str] = self.enrolled.images
        return Match(names[row], self.enrolled.labels[row], max(float(distance), 0.0))
