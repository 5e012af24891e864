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
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from headstart.arrays import Features, Floats, Pixels, Rows
from headstart.data.images import ImageSet
from headstart.data.inputs import ImagesLike
from headstart.engines.devices import choose_device
from headstart.engines.precision import precision_of_model
from headstart.errors import DataError, GalleryError, OutputError, UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.files import Locked, atomic_create, file_sha256, locked, write_json
from headstart.galleries.answers import HITS, SearchResult, answer, needed
from headstart.galleries.card import gallery_card
from headstart.galleries.embedding import Embedding
from headstart.galleries.layout import CARD, SETTINGS, TABLE, TENSORS, is_gallery
from headstart.galleries.learning import certainty_of, choose, coarse_certainty_of
from headstart.galleries.settings import GallerySettings, Trial
from headstart.galleries.table import Enrolled, GalleryTable, Row
from headstart.options import DeviceOption, PrecisionOption
from headstart.predictor.bundle import part_of
from headstart.predictor.config import BackboneConfig
from headstart.predictor.decoding import decode_ahead, with_features

LOCK, ERASING = ".lock", ".erasing"

_WAIT = 60.0
# Certainty is learnt again when so large a share of the images is new or gone.
_CHANGED = 0.1


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
        rows = _once(images.sha256s)
        images, features = images.take(rows), features[rows]
        choice = choose(features, images, extractor.layout)
        embedding = choice.embedding
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
                    certainty=certainty_of(enrolled, false_accepts, choice.nearer),
                    trials=tuple(map(Trial.of, choice.tried)),
                    coarse=coarse_certainty_of(enrolled, false_accepts, choice.nearer),
                )
                write_json(partial / SETTINGS, settings.to_json())
                card = gallery_card(settings, len(enrolled), len(set(enrolled.labels)))
                (partial / CARD).write_bytes(card.encode())
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
        store: str | None = None,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
    ) -> Self:
        """Open a gallery. No network access is needed.

        Args:
            folder: Where it is.
            cache: Folder for features and converted networks.
            store: The URL of the features if they are in an object store; else None.
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
            store=store,
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
        return self.enrol(_enrolled(images, self.embedding.of_features(features)))

    def enrol(self, images: Enrolled) -> Change:
        """Enrol images whose embeddings are known; see `add`."""
        images = images.take(_once(images.sha256s))
        with self._alone():
            before = {row.sha256: row for row in self.table.rows_of(images.sha256s)}
            _check_labels(images, before)
            is_new = np.array([sha256 not in before for sha256 in images.sha256s], dtype=bool)
            new, known = (images.take(np.flatnonzero(which)) for which in (is_new, ~is_new))
            if len(new):
                self.table.append(new)
                self._learn_again()
        return self._change(new.sha256s, tuple(known.images))

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
            readable = [name for name in names if isinstance(name, str)]
            found = iter(self.answers(readable, features, hits))
            yield from (
                name if isinstance(name, UnreadableImage) else next(found) for name in names
            )

    def features_of(self, pixels: Pixels) -> Features:
        """Return the features of one batch. Several threads may call this.

        Args:
            pixels: Preprocessed images, (images, size, size, 3).

        Returns:
            Rounded as stored, (images, width).
        """
        return as_stored(self.extractor.engine.infer(pixels), self.settings.stored_as)

    def answers(
        self, names: Sequence[str], features: Features, hits: int = HITS
    ) -> list[SearchResult]:
        """Return the answers to images; see `search`. In an empty gallery, all are unknown.

        Several threads may call this. What other processes have changed is seen at once.

        Args:
            names: The names of the images.
            features: Their features, (images, width).
            hits: The number of nearest images of an answer.

        Raises:
            GalleryError: The gallery is gone, or was replaced.
        """
        self.refresh()
        if not len(self.table):
            return [SearchResult(name, (), True, ()) for name in names]
        settings, points = self.settings, self.embedding.of_features(features)
        found = (self.table.nearest(point, needed(hits)) for point in points)
        return [
            answer(name, *nearest, settings.certainty, hits, coarse=settings.coarse)
            for name, nearest in zip(names, found, strict=True)
        ]

    def embedded(self, images: ImageSet, features: Features) -> Enrolled:
        """Return images with their embeddings, once for copies, without enrolling them.

        Args:
            images: The images.
            features: Their features, (images, width).
        """
        rows = _once(images.sha256s)
        return _enrolled(images.take(rows), self.embedding.of_features(features[rows]))

    def everything(self) -> Change:
        """Return the enrolment of all images, as if it had just been done."""
        return self._change([row.sha256 for row in self.table.rows()], ())

    def labels(self) -> dict[str, int]:
        """Return the number of images of each label, sorted by label."""
        return dict(sorted(self.table.labels().items()))

    def refresh(self) -> None:
        """Read the settings again, which other processes may have changed.

        Raises:
            GalleryError: The gallery is gone, or was replaced.
        """
        settings = _read_settings(self.folder)
        if settings.tensors != self.settings.tensors:
            raise GalleryError(
                f"Gallery '{self.folder}' was replaced since it was opened. Open it again."
            )
        self.settings = settings

    @property
    def card(self) -> str:
        """Its card, in Markdown; "" if it was made without one."""
        path = self.folder / CARD
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _change(self, changed: Sequence[str], known: tuple[str, ...]) -> Change:
        labels = self.labels()
        return Change(len(changed), known, tuple(changed), sum(labels.values()), len(labels))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other writers, and read what they have changed."""
        try:
            with locked(self.folder / LOCK, wait=_WAIT):
                self.refresh()
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
        learnt = self.table.enrolled(), before.false_accepts, before.nearer
        self.settings = replace(
            self.settings, certainty=certainty_of(*learnt), coarse=coarse_certainty_of(*learnt)
        )
        write_json(self.folder / SETTINGS, self.settings.to_json())


def _read_settings(folder: Path) -> GallerySettings:
    if not is_gallery(folder):
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


def _once(sha256s: Sequence[str]) -> Rows:
    """Return the row of each image, once for copies, which have the same label."""
    first = {sha256: row for row, sha256 in reversed(list(enumerate(sha256s)))}
    return np.array(sorted(first.values()), dtype=np.int64)


def _check_labels(images: Enrolled, before: Mapping[str, Row]) -> None:
    for name, sha256, label in zip(images.images, images.sha256s, images.labels, strict=True):
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
