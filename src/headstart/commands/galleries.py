"""Galleries: make one from labelled images, add to it, remove from it, search it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from headstart.arrays import Features
from headstart.commands.embedding import extractor_of, with_faces
from headstart.data.formats import is_table
from headstart.data.images import ImageSet
from headstart.data.inputs import ImagesLike
from headstart.data.opening import images_of
from headstart.data.sources import open_source
from headstart.data.tables import other_columns
from headstart.errors import DataError, OptionError, UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import FeatureStore
from headstart.galleries.answers import HITS, SearchResult
from headstart.galleries.labels import checked_label
from headstart.galleries.store import Change, GalleryStore
from headstart.galleries.table import Enrolled
from headstart.gallery_options import AddOptions, CreateOptions, EnrolOptions, RemoveOptions
from headstart.options import ComputeOptions, cache_folder
from headstart.predictor.predictor import FailedPrediction
from headstart.record import Rejection
from headstart.tasks.loading import TASKS
from headstart.watching import Watcher

AnySearchResult = SearchResult | FailedPrediction
"""The answer to an image, whether or not it could be read."""


@dataclass(frozen=True)
class GalleryChange:
    """What a command did to a gallery.

    Attributes:
        gallery: The gallery.
        change: What was added or removed.
        rejected: Images that cannot be used, with the reasons.
    """

    gallery: GalleryStore
    change: Change
    rejected: tuple[Rejection, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        change = self.change
        return {
            "gallery": str(self.gallery.folder),
            "images": change.images,
            "labels": change.labels,
            "changed": change.changed,
            "enrolled_before": list(change.known),
            "rejected": [{"image": one.image, "reason": one.reason} for one in self.rejected],
        }


def create_gallery(
    data: str | os.PathLike[str], options: CreateOptions, watcher: Watcher
) -> GalleryChange:
    """Make a gallery of labelled images.

    Args:
        data: A folder with a folder for each item, or a table with `label` and any other columns.
        options: What to do.
        watcher: Follows the stages.
    """
    out = options.out or Path("galleries") / Path(data).resolve().stem
    if out.exists():
        raise OptionError(
            f"'{out}' exists already. Pass another folder with --out, or add to it: headstart "
            f"gallery add {out} {data}"
        )
    with watcher.stage("Loading the model"):
        extractor = extractor_of(options.model, options)
    images, rejected = _open(data, extractor, options, watcher)
    features, stored_as = _features(extractor, images, watcher)
    with watcher.stage("Choosing what to compare"):
        gallery = GalleryStore.create(
            *(out, images, features, extractor),
            stored_as=stored_as,
            false_accepts=options.false_accepts,
        )
    return GalleryChange(gallery, gallery.everything(), rejected)


def add_images(
    gallery: str | os.PathLike[str],
    data: str | os.PathLike[str],
    options: AddOptions,
    watcher: Watcher,
) -> GalleryChange:
    """Enrol labelled images in a gallery."""
    opened = open_gallery(gallery, options)
    images, rejected = _open(data, opened.extractor, options, watcher)
    features, _ = _features(opened.extractor, images, watcher)
    with watcher.stage("Adding"):
        change = opened.add(images, features)
    return GalleryChange(opened, change, rejected)


def enrol_photos(
    gallery: GalleryStore,
    photos: Sequence[tuple[str, str]],
    features: Features,
    *,
    label: str,
    fields: Mapping[str, str],
) -> GalleryChange:
    """Enrol photos of one item in an open gallery, all or none of them.

    Their names begin with the label, as if they were in a folder of that name.

    Args:
        gallery: The gallery.
        photos: Name and sha256 of each file.
        features: Their features, (photos, width).
        label: The label of all of them.
        fields: Their other columns, such as a price.

    Raises:
        DataError: The label cannot be one, or a photo is enrolled under another label.
    """
    label = checked_label(label)
    names, sha256s = zip(*photos, strict=True)
    change = gallery.enrol(
        Enrolled(
            images=[f"{label}/{name}" for name in names],
            sha256s=sha256s,
            labels=[label] * len(photos),
            groups=sha256s,
            fields=[{name: value for name, value in fields.items() if value}] * len(photos),
            points=gallery.embedding.of_features(features),
        )
    )
    return GalleryChange(gallery, change)


def remove_images(
    gallery: str | os.PathLike[str],
    options: RemoveOptions,
    *,
    labels: Sequence[str] = (),
    images: Sequence[str] = (),
) -> GalleryChange:
    """Remove images from a gallery and, with --forget, from the feature store.

    Args:
        gallery: The folder of the gallery.
        options: What to do.
        labels: All images of these labels are removed.
        images: Images of these names are removed.
    """
    opened = open_gallery(gallery, options)
    change = opened.remove(labels=labels, images=images)
    if options.forget:
        FeatureStore(cache_folder(options.cache) / "features").forget(change.sha256s)
    return GalleryChange(opened, change)


def answers_of(
    gallery: GalleryStore, images: ImagesLike, hits: int = HITS
) -> Iterator[AnySearchResult]:
    """Yield the answer to each image, or why it cannot be read."""
    for found in gallery.search(images, hits=hits):
        if isinstance(found, UnreadableImage):
            yield FailedPrediction(found.path, found.reason)
        else:
            yield found


def open_gallery(gallery: str | os.PathLike[str], options: ComputeOptions) -> GalleryStore:
    """Open a gallery; see `GalleryStore.open`."""
    return GalleryStore.open(
        gallery,
        cache=cache_folder(options.cache),
        device=options.device,
        precision=options.precision,
    )


def _open(
    data: str | os.PathLike[str],
    extractor: FeatureExtractor,
    options: EnrolOptions,
    watcher: Watcher,
) -> tuple[ImageSet, tuple[Rejection, ...]]:
    """Return all usable images of labelled data; a single label is enough."""
    group, cache = options.group, options.cache
    columns = other_columns(Path(data), group) if is_table(Path(data)) else ()
    with watcher.stage("Checking images") as progress:
        source = open_source(
            data, staging=cache_folder(cache) / "images", group=group, slices=columns
        )
        labels = sorted({entry.label for entry in source.entries if entry.label})
        images = images_of(source, data, task=TASKS["single"], classes=labels, progress=progress)
    watcher.note(images.summary)
    for warning in images.warnings:
        watcher.warn(warning)
    rejected = [Rejection(*one) for one in images.rejected]
    usable, faceless = with_faces(images.all, extractor, watcher)
    if not len(usable):
        raise DataError(f"No face is found in any image of '{data}'.")
    return usable, (*rejected, *faceless)


def _features(
    extractor: FeatureExtractor, images: ImageSet, watcher: Watcher
) -> tuple[Features, str]:
    with watcher.stage("Extracting features") as progress:
        return extractor.of_files(images.files, progress=progress, warn=watcher.warn)
