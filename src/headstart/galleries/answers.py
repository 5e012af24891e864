"""The answer to an image: its label, or that it is unknown, and the nearest enrolled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from pydantic import JsonValue

from headstart.arrays import Numbers

if TYPE_CHECKING:  # A server knows answers without the libraries that learn from galleries.
    from headstart.galleries.certainty import Certainty
    from headstart.galleries.table import Row

HITS = 5
"""The number of nearest images of an answer."""

_SURE = 0.5


@dataclass(frozen=True)
class Hit:
    """An enrolled image that is near.

    Attributes:
        image: Its name.
        label: Its label.
        distance: Its cosine distance, 0 to 2.
        fields: Its other columns, such as a price.
        sha256: Hash of its file.
    """

    image: str
    label: str
    distance: float
    fields: dict[str, str]
    sha256: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        fields: dict[str, JsonValue] = {"fields": dict(self.fields)} if self.fields else {}
        named: dict[str, JsonValue] = {"image": self.image, "label": self.label}
        return named | {"distance": round(self.distance, 6)} | fields


@dataclass(frozen=True)
class RankedLabel:
    """A label with the probability that an image shows the same item.

    Attributes:
        label: The label.
        probability: 0 to 1; None if the gallery has too few images to say.
        distance: The distance of its nearest image.
    """

    label: str
    probability: float | None
    distance: float


@dataclass(frozen=True)
class SearchResult:
    """The answer to an image.

    Attributes:
        image: Its name.
        labels: The labels of the nearest images, the nearest first; empty if nothing is enrolled.
        unknown: Whether even the nearest is too far.
        hits: The nearest images.
        coarse: The part of the nearest image's label before "/", such as "Apple" of
            "Apple/Golden Delicious"; None if labels have no such part, or even that is unknown.
    """

    image: str
    labels: tuple[RankedLabel, ...]
    unknown: bool
    hits: tuple[Hit, ...]
    coarse: RankedLabel | None = None

    @property
    def label(self) -> str | None:
        """The label; None if it is unknown."""
        return None if self.unknown else self.labels[0].label

    @property
    def is_sure(self) -> bool:
        """Whether the label is known, and probably right."""
        if self.unknown:
            return False
        probability = self.labels[0].probability
        return probability is None or probability >= _SURE

    def or_coarse(self) -> Self:
        """Return the same with the coarse label in place of one that is not sure."""
        if self.is_sure or self.coarse is None:
            return self
        return replace(self, labels=(self.coarse, *self.labels), unknown=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        coarse: dict[str, JsonValue] = {}
        if self.coarse:
            coarse["coarse"] = {
                "label": self.coarse.label,
                "probability": self.coarse.probability,
            }
        return coarse | {
            "image": self.image,
            "label": self.label,
            "probability": self.labels[0].probability if self.labels else None,
            "unknown": self.unknown,
            "labels": [
                {"label": one.label, "probability": one.probability, "distance": one.distance}
                for one in self.labels
            ],
            "hits": [hit.to_json() for hit in self.hits],
        }


def needed(hits: int) -> int:
    """Return how many of the nearest images an answer is made of.

    They are more than are shown, as the nearest ones may all have the same label.
    """
    return max(4 * hits, 50)


def coarse_of(label: str) -> str:
    """Return the part of a label before "/", or all of it."""
    return label.partition("/")[0]


def answer(
    image: str,
    rows: Sequence[Row],
    distances: Numbers,
    certainty: Certainty,
    hits: int,
    *,
    coarse: Certainty | None = None,
) -> SearchResult:
    """Return the answer to an image.

    Args:
        image: Its name.
        rows: The nearest enrolled images, nearest first.
        distances: Their cosine distances.
        certainty: What distances say.
        hits: The number of nearest images, and of labels, to give.
        coarse: What distances say about the part of labels before "/".
    """
    nearest: dict[str, float] = {}
    for row, distance in zip(rows, distances.tolist(), strict=True):
        nearest.setdefault(row.label, distance)
    ranked = [
        RankedLabel(label, certainty.probability(distance), distance)
        for label, distance in nearest.items()
    ]
    shown = tuple(
        Hit(row.image, row.label, distance, dict(row.fields), row.sha256)
        for row, distance in zip(rows[:hits], distances.tolist()[:hits], strict=True)
    )
    first = ranked[0].distance
    broader = None
    if coarse and not coarse.unknown(first):
        broader = RankedLabel(coarse_of(ranked[0].label), coarse.probability(first), first)
    return SearchResult(image, tuple(ranked[:hits]), certainty.unknown(first), shown, broader)
