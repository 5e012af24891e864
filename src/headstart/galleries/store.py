"""A gallery: enrolled images that are searched by what they show."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.model_selection import GroupKFold

from headstart.arrays import Features, Floats, Folds, Rows
from headstart.data.images import ImageSet
from headstart.data.inputs import ImagesLike
from headstart.engines.devices import choose_device
from headstart.engines.precision import precision_of_model
from headstart.errors import DataError, GalleryError, OutputError, UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.files import Locked, atomic_create, file_sha256, locked, write_json
from headstart.galleries.certainty import Certainty
from headstart.galleries.embedding import Embedding, TriedEmbedding, choose_embedding
from headstart.galleries.retrieval import retrieve
from headstart.galleries.settings import GallerySettings, Trial
from headstart.galleries.table import Enrolled, GalleryTable, Row
from headstart.options import DeviceOption, PrecisionOption
from headstart.predictor.bundle import part_of
from headstart.predictor.config import BackboneConfig
from headstart.predictor.decoding import decode_ahead, with_features

SETTINGS, TENSORS, TABLE = "gallery.json", "model.safetensors", "images.lance"
LOCK, ERASING = ".lock", ".erasing"

HITS = 5
"""The number of nearest images of an answer."""

_WAIT = 60.0
# An embedding is chosen on so many images, and distances are learnt from so many.
_CHOSEN_ON, _LOOKED_UP = 4_000, 2_000
_FOLDS, _FEWEST_QUERIES = 5, 20
# Certainty is learnt again when so large a share of the images is new or gone.
_CHANGED = 0.1


@dataclass(frozen=True)
class Hit:
    """An enrolled image that is near.

    Attributes:
        image: Its name.
        label: Its label.
        distance: Its cosine distance, 0 to 2.
        fields: Its other columns, such as a price.
    """

    image: str
    label: str
    distance: float
    fields: dict[str, str]

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
        labels: The labels of the nearest images, the nearest first.
        unknown: Whether even the nearest is too far.
        hits: The nearest images.
    """

    image: str
    labels: tuple[RankedLabel, ...]
    unknown: bool
    hits: tuple[Hit, ...]

    @property
    def label(self) -> str | None:
        """The label; None if it is unknown."""
        return None if self.unknown else self.labels[0].label

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        first = self.labels[0]
        return {
            "image": self.image,
            "label": self.label,
            "probability": first.probability,
            "unknown": self.unknown,
            "labels": [
                {"label": one.label, "probability": one.probability, "distance": one.distance}
                for one in self.labels
            ],
            "hits": [hit.to_json() for hit in self.hits],
        }


@dataclass(frozen=True)
class Change:
    """What an enrolment or a removal did.

    Attributes:
        changed: The number of images that were added or removed.
        known: Names of images that were enrolled before, and were not added again.
        sha256s: The hashes of the images that were added or removed.
        images: The number of images after it.
        labels: The number of labels after it.
    """

    changed: int
    known: tuple[str, ...]
    sha256s: tuple[str, ...]
    images: int
    labels: int


class GalleryStore:
    """Enrolled images that are searched by their embeddings.

    Several processes may change a gallery; they take turns.

    Attributes:
        folder: Where it is.
        settings: What it is.
        embedding: Turns features into embeddings.
        extractor: Computes features.
        table: The images.
    """

    def __init__(
        self,
        folder: Path,
        settings: GallerySettings,
        embedding: Embedding,
        extractor: FeatureExtractor,
    ) -> None:
        self.folder, self.settings = folder, settings
        self.embedding, self.extractor = embedding, extractor
        self.table = GalleryTable(folder / TABLE)

    def __repr__(self) -> str:
        return f"Gallery('{self.folder}', {len(self.table):,} images)"

    @classmethod
    def create(
        cls,
        folder: Path,
        images: ImageSet,
        features: Features,
        extractor: FeatureExtractor,
        *,
        stored_as: str,
        false_accepts: float,
    ) -> Self:
        """Make a gallery, completely or not at all.

        Args:
            folder: Where; it must not exist.
            images: The images to enrol.
            features: Their features, (images, width).
            extractor: What has computed them.
            stored_as: The precision to which they are rounded.
            false_accepts: The share of strangers that may be taken for enrolled items.

        Raises:
            OutputError: The folder exists, or cannot be written.
        """
        if folder.exists():
            raise OutputError(
                f"Gallery '{folder}' exists already. Add to it, or choose a new folder."
            )
        rows = _once(images)
        images, features = images.take(rows), features[rows]
        embedding, tried = _chosen(features, images, extractor)
        enrolled = _enrolled(images, embedding.of_features(features))
        try:
            with atomic_create(folder) as partial:
                partial.mkdir()
                tensors = {f"backbone.{name}": value for name, value in extractor.tensors().items()}
                arrays = {
                    f"embedding.{name}": value for name, value in embedding.to_arrays().items()
                }
                save_file(tensors | arrays, partial / TENSORS)
                settings = GallerySettings(
                    headstart=version("headstart"),
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    backbone=BackboneConfig.of(extractor),
                    preprocess=extractor.preprocess,
                    precision=extractor.precision,
                    stored_as=stored_as,
                    features=embedding.features,
                    treatment=embedding.treatment,
                    tensors=file_sha256(partial / TENSORS),
                    certainty=_certainty(enrolled, false_accepts),
                    trials=tuple(map(_trial, tried)),
                )
                write_json(partial / SETTINGS, settings.to_json())
                GalleryTable.create(partial / TABLE, embedding.dimensions).append(enrolled)
        except OSError as error:
            raise OutputError(f"Gallery '{folder}' cannot be written: {error}.") from None
        return cls(folder, settings, embedding, extractor)

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        cache: Path,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
    ) -> Self:
        """Open a gallery. No network access is needed.

        Args:
            folder: Where it is.
            cache: Folder for features and converted networks.
            device: The device to run on.
            precision: "auto" is the precision with which it was made, if the processor supports it.

        Raises:
            GalleryError: It is missing, damaged, or of a later version.
        """
        place = Path(folder)
        settings = _read_settings(place)
        path = place / TENSORS
        if not path.is_file() or file_sha256(path) != settings.tensors:
            raise _damaged(place, TENSORS)
        try:
            tensors = load_file(path)
        except SafetensorError:
            raise _damaged(place, TENSORS) from None
        saved = settings.backbone.saved(settings.preprocess, part_of(tensors, "backbone"))
        chosen = choose_device(device)
        extractor = FeatureExtractor(
            saved,
            cache=cache,
            device=device,
            precision=precision_of_model(precision, settings.precision, chosen),
        )
        arrays = part_of(tensors, "embedding")
        embedding = Embedding.from_arrays(settings.features, settings.treatment, arrays)
        return cls(place, settings, embedding, extractor)

    def add(self, images: ImageSet, features: Features) -> Change:
        """Enrol further images in one step.

        Args:
            images: The images.
            features: Their features, (images, width).

        Raises:
            DataError: An image is enrolled under another label.
            GalleryError: Another process changes the gallery for too long.
        """
        rows = _once(images)
        images, features = images.take(rows), features[rows]
        points = self.embedding.of_features(features)
        with self._alone():
            before = {row.sha256: row for row in self.table.rows()}
            _check_labels(images, before)
            new = np.flatnonzero([sha256 not in before for sha256 in images.sha256s])
            known = tuple(
                name
                for name, sha256 in zip(images.names, images.sha256s, strict=True)
                if sha256 in before
            )
            if len(new):
                self.table.append(_enrolled(images.take(new), points[new]))
                self._learn_again()
        return self._change(images.take(new).sha256s, known)

    def remove(self, *, labels: Collection[str] = (), images: Collection[str] = ()) -> Change:
        """Remove images, and every trace of their embeddings.

        Args:
            labels: All images of these labels are removed.
            images: Images of these names are removed.

        Raises:
            DataError: The gallery does not have one of the labels or images.
            GalleryError: Another process changes the gallery for too long.
        """
        with self._alone():
            rows = self.table.rows()
            _check_known("label", labels, {row.label for row in rows})
            _check_known("image", images, {row.image for row in rows})
            gone = [row.sha256 for row in rows if row.label in labels or row.image in images]
            if gone:
                (self.folder / ERASING).touch()
                self.table.remove(gone)
                (self.folder / ERASING).unlink()
                self._learn_again()
        return self._change(gone, ())

    def search(
        self, images: ImagesLike, *, hits: int = HITS
    ) -> Iterator[SearchResult | UnreadableImage]:
        """Yield the answer for each image, or why it cannot be read, in order.

        Args:
            images: See `Predictor.predict`.
            hits: The number of nearest images of an answer.

        Raises:
            GalleryError: The gallery is empty.
        """
        if not len(self.table):
            raise GalleryError(
                f"Gallery '{self.folder}' is empty, so nothing can be found in it. Add images: "
                f"headstart gallery add {self.folder} DATA"
            )
        decoded = (
            one if isinstance(one, UnreadableImage) else (name, one)
            for name, one in decode_ahead(images, self.extractor.preprocess)
        )
        for names, features in with_features(decoded, self.extractor, self.settings.stored_as):
            points = iter(self.embedding.of_features(features))
            for name in names:
                if isinstance(name, UnreadableImage):
                    yield name
                else:
                    yield self._answer(name, next(points), hits)

    def everything(self) -> Change:
        """Return the enrolment of all images, as if it had just been done."""
        return self._change([row.sha256 for row in self.table.rows()], ())

    def labels(self) -> dict[str, int]:
        """Return the number of images of each label, sorted by label."""
        return dict(sorted(self.table.labels().items()))

    def _answer(self, name: str, point: Floats, hits: int) -> SearchResult:
        # More images than are shown, as the nearest ones may all have the same label.
        rows, distances = self.table.nearest(point, max(4 * hits, 50))
        certainty, nearest = self.settings.certainty, dict[str, float]()
        for row, distance in zip(rows, distances.tolist(), strict=True):
            nearest.setdefault(row.label, distance)
        ranked = tuple(
            RankedLabel(label, certainty.probability(distance), distance)
            for label, distance in nearest.items()
        )
        shown = tuple(
            Hit(row.image, row.label, distance, dict(row.fields))
            for row, distance in zip(rows[:hits], distances.tolist()[:hits], strict=True)
        )
        return SearchResult(name, ranked[:hits], certainty.unknown(ranked[0].distance), shown)

    def _change(self, changed: Sequence[str], known: tuple[str, ...]) -> Change:
        labels = self.labels()
        return Change(len(changed), known, tuple(changed), sum(labels.values()), len(labels))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other writers, and read what they have changed."""
        try:
            with locked(self.folder / LOCK, wait=_WAIT):
                self.settings = _read_settings(self.folder)
                if (self.folder / ERASING).exists():  # A removal was killed before its end.
                    self.table.erase()
                    (self.folder / ERASING).unlink()
                yield
        except Locked:
            raise GalleryError(
                f"Gallery '{self.folder}' is being changed by another process for more than "
                f"{_WAIT:.0f} s. Try again when that has ended."
            ) from None

    def _learn_again(self) -> None:
        """Learn what distances say, if the images have changed much."""
        count, before = len(self.table), self.settings.certainty
        if abs(count - before.enrolled) <= _CHANGED * before.enrolled:
            return
        certainty = _certainty(self.table.enrolled(), before.false_accepts)
        self.settings = replace(self.settings, certainty=certainty)
        write_json(self.folder / SETTINGS, self.settings.to_json())


def _read_settings(folder: Path) -> GallerySettings:
    if not (folder / SETTINGS).is_file():
        known = "is not a gallery" if folder.exists() else "does not exist"
        raise GalleryError(
            f"'{folder}' {known}. Make one: headstart gallery create DATA --out {folder}"
        )
    try:
        values = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except ValueError:
        raise _damaged(folder, SETTINGS) from None
    return GallerySettings.of(values, str(folder))


def _damaged(folder: Path, name: str) -> GalleryError:
    return GalleryError(
        f"Gallery '{folder}' is damaged: '{name}' differs from what was written. Make it again "
        "from the images."
    )


def _once(images: ImageSet) -> Rows:
    """Return the row of each image, once for copies, which have the same label."""
    first = {sha256: row for row, sha256 in reversed(list(enumerate(images.sha256s)))}
    return np.array(sorted(first.values()), dtype=np.int64)


def _check_labels(images: ImageSet, before: Mapping[str, Row]) -> None:
    labels = images.table["label"].to_pylist()
    for name, sha256, label in zip(images.names, images.sha256s, labels, strict=True):
        if sha256 in before and before[sha256].label != label:
            raise DataError(
                f"'{name}' is enrolled already, as '{before[sha256].image}' with the label "
                f"'{before[sha256].label}' instead of '{label}'. Nothing was added. Remove that "
                "image first, or leave this one out."
            )


def _check_known(kind: str, wanted: Collection[str], known: Collection[str]) -> None:
    if missing := sorted(set(wanted) - set(known)):
        raise DataError(f"The gallery has no {kind} '{missing[0]}'. Nothing was removed.")


def _enrolled(images: ImageSet, points: Floats) -> Enrolled:
    columns = images.slices
    fields = [
        {name: values[row] for name, values in columns.items() if values[row]}
        for row in range(len(images))
    ]
    return Enrolled(
        images.names,
        images.sha256s,
        images.table["label"].to_pylist(),
        images.groups,
        fields,
        points,
    )


def _chosen(
    features: Features, images: ImageSet, extractor: FeatureExtractor
) -> tuple[Embedding, tuple[TriedEmbedding, ...]]:
    labels, groups = _numbered(images.table["label"].to_pylist()), _numbered(images.groups)
    rows = _sample_of_labels(labels, _CHOSEN_ON)
    embedding, tried = choose_embedding(
        features[rows],
        extractor.layout,
        labels[rows],
        groups[rows],
        _folds(labels[rows], groups[rows]),
    )
    if len(rows) < len(features) and tried:  # What was chosen is learnt from all images.
        embedding = Embedding.of(
            features, extractor.layout, embedding.features, embedding.treatment
        )
    return embedding, tried


def _certainty(enrolled: Enrolled, false_accepts: float) -> Certainty:
    labels, groups = _numbered(enrolled.labels), _numbered(enrolled.groups)
    rows = np.random.default_rng(0).permutation(len(enrolled))[:_LOOKED_UP]
    found = retrieve(enrolled.points, labels, groups, rows)
    return Certainty.of(found, false_accepts, enrolled=len(enrolled))


def _numbered(values: Sequence[str]) -> Rows:
    return np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1]


def _sample_of_labels(labels: Rows, count: int) -> Rows:
    """Return the rows of whole labels, drawn at random, of about so many images."""
    if len(labels) <= count:
        return np.arange(len(labels))
    order = np.random.default_rng(0).permutation(labels.max() + 1)
    rank = np.argsort(order)[labels]
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _folds(labels: Rows, groups: Rows) -> Folds | None:
    """Return pairs of rows, (others, looked up), that keep groups together; None if too few."""
    queries = sum(len(set(groups[labels == one])) > 1 for one in np.unique(labels))
    if queries < 2 or len(np.unique(groups)) < _FEWEST_QUERIES:
        return None
    split = GroupKFold(_FOLDS).split(labels, groups=groups)
    return [(others, rows) for others, rows in split]


def _trial(tried: TriedEmbedding) -> Trial:
    found = tried.retrieval
    return Trial(tried.features, tried.treatment, found.recall(1), found.map_at_r)
