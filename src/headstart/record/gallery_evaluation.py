"""What an evaluation of a gallery measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter

from headstart.record.estimates import MetricValue
from headstart.record.values import Rejection

_FEW_LABELS = 20
"""Strangers of fewer labels than this are not as many independent strangers as their images."""


@dataclass(frozen=True)
class QueryCounts:
    """The images that were looked up, which are called queries.

    Attributes:
        images: The number of queries.
        known: Those whose label an enrolled image of another group has; only they can be found.
        single: Those of an enrolled label that no other image has.
        strangers: Those of labels that the gallery does not have.
        groups: The number of groups of the queries; None if each is a group of its own.
        enrolled_before: Images that were left out as they are enrolled.
        shared_group: Images that were left out as an enrolled image is of the same group.
    """

    images: int
    known: int
    single: int
    strangers: int
    groups: int | None
    enrolled_before: int = 0
    shared_group: int = 0


@dataclass(frozen=True)
class Identified:
    """How many known images are identified at a limit that few strangers pass.

    Attributes:
        false_accepts: The share of strangers that pass the limit, at most.
        rate: The share of known images that pass it and whose nearest image has their label; its
            value is None if there are too few strangers to set such a limit.
        limit: The distance below which an image passes; None likewise.
    """

    false_accepts: float
    rate: MetricValue
    limit: float | None


@dataclass(frozen=True)
class OpenSet:
    """What happens if some of those who are looked up are not enrolled.

    Attributes:
        strangers: The number of strangers' images.
        independent: The number of their groups.
        labels: The number of their labels.
        left_out: Whether they are known images whose own label was left out of the gallery, as
            there are no real strangers.
        identified: The identification rate at several shares of false accepts, the smallest first.
    """

    strangers: int
    independent: int
    labels: int
    left_out: bool
    identified: tuple[Identified, ...]


@dataclass(frozen=True)
class OwnLimit:
    """The answers of the gallery at its own limit.

    Attributes:
        distance: The distance beyond which an image is unknown; None if the gallery has no limit.
        false_accepts: The share of strangers for which it was set.
        right: The share of known images whose answer is their label.
        wrong: The share of known images whose answer is another label.
        unknown: The share of known images that are called unknown.
        strangers_unknown: The share of strangers that are called unknown.
    """

    distance: float | None
    false_accepts: float
    right: MetricValue
    wrong: MetricValue
    unknown: MetricValue
    strangers_unknown: MetricValue


@dataclass(frozen=True)
class LabelRecall:
    """How well the images of a label are found.

    Attributes:
        label: The label.
        recall_at_1: The share of its known images whose nearest image has the label, 0 to 1.
        images: The number of these images.
        enrolled: The number of images of the label in the gallery.
    """

    label: str
    recall_at_1: float
    images: int
    enrolled: int


@dataclass(frozen=True)
class LabelConfusion:
    """A label for which another one is found.

    Attributes:
        label: The label.
        found: The label of the nearest image instead.
        count: The number of such images.
        images: The number of known images of the label.
    """

    label: str
    found: str
    count: int
    images: int


@dataclass(frozen=True)
class Match:
    """An enrolled image that is near a query.

    Attributes:
        image: Its name.
        label: Its label.
        distance: Its cosine distance, 0 to 2.
    """

    image: str
    label: str
    distance: float


@dataclass(frozen=True)
class Miss:
    """A query whose nearest enrolled image has another label.

    Attributes:
        image: Its name.
        label: Its label.
        found: The nearest enrolled image.
        right: The nearest enrolled image of its label; None if it is a stranger.
    """

    image: str
    label: str
    found: Match
    right: Match | None


@dataclass(frozen=True)
class DistanceHistogram:
    """Distances of the same item beside those of strangers.

    Attributes:
        edges: The bounds of the bins, one more than bins.
        same: The number of known images in each bin, by the distance to the nearest image of their
            label.
        strangers: The number of strangers in each bin, by the distance to the nearest image.
    """

    edges: tuple[float, ...]
    same: tuple[int, ...]
    strangers: tuple[int, ...]


@dataclass(frozen=True)
class GalleryMeasures:
    """How well a gallery answers.

    Attributes:
        queries: The images that were looked up.
        recall_at_1: The share of known images whose nearest enrolled image has their label.
        recall_at_5: The share of known images with one of their label among the five nearest.
        recall_at_10: The same among the ten nearest.
        map_at_r: mAP@R (Musgrave et al., 2020).
        open_set: What happens if some are not enrolled.
        own_limit: The answers at the gallery's own limit.
        per_label: Each label with known images, the worst first.
        confusions: Labels that are confused, the most frequent first.
        misses: Known images for which another label is found, the worst first; at most 24.
        accepted: Strangers that are taken for an enrolled item, the nearest first; at most 24.
        histogram: Distances of the same item and of strangers.
    """

    queries: QueryCounts
    recall_at_1: MetricValue
    recall_at_5: MetricValue
    recall_at_10: MetricValue
    map_at_r: MetricValue
    open_set: OpenSet
    own_limit: OwnLimit
    per_label: tuple[LabelRecall, ...]
    confusions: tuple[LabelConfusion, ...]
    misses: tuple[Miss, ...]
    accepted: tuple[Miss, ...]
    histogram: DistanceHistogram


@dataclass(frozen=True)
class GalleryEvaluation:
    """Everything that `gallery evaluate` measured.

    Attributes:
        headstart: The version of headstart that measured it.
        created: Date and time in ISO 8601 with the time zone.
        gallery: The folder of the gallery.
        data: A short name of the data; None if enrolled images were looked up among the others.
        enrolled: The number of enrolled images.
        labels: The number of their labels.
        measures: How well the gallery answers.
        rejected: Images that were not used, with the reasons.
    """

    headstart: str
    created: str
    gallery: str
    data: str | None
    enrolled: int
    labels: int
    measures: GalleryMeasures
    rejected: tuple[Rejection, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before the figures are quoted, in sentences."""
        return tuple(_notes(self))

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values, with the measures beside the rest."""
        values: dict[str, JsonValue] = _EVALUATION.dump_python(self, mode="json")
        measures = values.pop("measures")
        assert isinstance(measures, dict)
        return values | measures | {"notes": list(self.notes)}


_EVALUATION = TypeAdapter(GalleryEvaluation)


def _notes(record: GalleryEvaluation) -> Iterator[str]:
    yield from _about_queries(record)
    yield from _about_strangers(record)
    yield from _about_limit(record)
    if record.data is None:
        yield (
            "How images are compared, and the limit, were learnt from these very images. On other "
            "images the figures differ, above all those of strangers if the gallery is small. Pass "
            "labelled images that are not enrolled to measure that."
        )


def _about_limit(record: GalleryEvaluation) -> Iterator[str]:
    own = record.measures.own_limit
    if own.distance is None:
        yield "The gallery has no limit, as it has too few images, so nothing is called unknown."
        return
    unknown = own.strangers_unknown
    if unknown.value is None or unknown.ci95 is None:
        return
    low, high = (1 - bound for bound in reversed(unknown.ci95))
    if low > own.false_accepts:
        yield (
            f"The limit of {own.distance:.3f} was set to accept {own.false_accepts:.0%} of "
            f"strangers, but accepts {1 - unknown.value:.0%} of these (95% interval {low:.0%} to "
            f"{high:.0%}). Do not rely on it for images like these."
        )


def _about_queries(record: GalleryEvaluation) -> Iterator[str]:
    queries = record.measures.queries
    if queries.enrolled_before:
        yield (
            f"Left out, as they are enrolled: {queries.enrolled_before:,} of the images of "
            f"'{record.data}'."
        )
    if queries.shared_group:
        yield (
            f"Left out, as an enrolled image is of the same group: {queries.shared_group:,} of the "
            f"images of '{record.data}'."
        )
    if queries.single:
        yield (
            f"Not counted in recall, as no other image or group has their label: {queries.single:,}"
            f" of {queries.images:,} images."
        )


def _about_strangers(record: GalleryEvaluation) -> Iterator[str]:
    found = record.measures.open_set
    if found.left_out:
        yield (
            "There are no images of labels that are not enrolled, so each image stands for a "
            "stranger too: it is looked up as if its own label were not in the gallery."
        )
    if found.labels < _FEW_LABELS:
        yield (
            f"The strangers are of only {found.labels:,} "
            f"label{'' if found.labels == 1 else 's'}. Images of one label are alike, so the "
            "intervals of what concerns strangers are too narrow."
        )
    unknown = [one.false_accepts for one in found.identified if one.limit is None]
    if unknown:
        of = "groups of strangers" if found.independent < found.strangers else "strangers"
        shares = " and ".join(f"{share:.0%}" for share in unknown)
        yield (
            f"{found.independent:,} {of} cannot tell a share of false accepts below "
            f"{1 / max(found.independent, 1):.0%}, so there is no identification rate at "
            f"{shares}; that needs at least {round(1 / min(unknown)):,}."
        )
