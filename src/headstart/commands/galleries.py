"""Galleries: make one from labelled images, add to it, remove from it, search it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from headstart.arrays import Features
from headstart.backbones.licences import licence_warning
from headstart.cache import feature_folder
from headstart.cluster.machines import Machines, machines_at
from headstart.commands.embedding import (
    extractor_of,
    features_of,
    open_gallery,
    open_labelled,
)
from headstart.data.inputs import ImagesLike
from headstart.errors import OptionError, UnreadableImage
from headstart.features.store import FeatureStore
from headstart.galleries.answers import HITS, SearchResult
from headstart.galleries.labels import checked_label
from headstart.galleries.store import Change, GalleryStore
from headstart.galleries.table import Enrolled
from headstart.gallery_options import AddOptions, CreateOptions, RemoveOptions
from headstart.predictor.predictor import FailedPrediction
from headstart.record import Rejection
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
    with machines_at(options.cluster, watcher) as machines:
        return _create(data, out, options, watcher, machines)


def _create(
    data: str | os.PathLike[str],
    out: Path,
    options: CreateOptions,
    watcher: Watcher,
    machines: Machines,
) -> GalleryChange:
    with watcher.stage("Loading the model"):
        extractor = extractor_of(options.model, options)
    if text := licence_warning(extractor.source.name, extractor.source.licence):
        watcher.warn(text)
    images, rejected = open_labelled(data, extractor, options, watcher, machines)
    features, stored_as = features_of(extractor, images, watcher, machines)
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
    images, rejected = open_labelled(data, opened.extractor, options, watcher)
    features, _ = features_of(opened.extractor, images, watcher)
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
        FeatureStore(feature_folder(options.cache)).forget(change.sha256s)
    return GalleryChange(opened, change)


def answers_of(
    gallery: GalleryStore, images: ImagesLike, hits: int = HITS, *, coarse: bool = False
) -> Iterator[AnySearchResult]:
    """Yield the answer to each image, or why it cannot be read.

    Args:
        gallery: The gallery.
        images: The images.
        hits: The number of nearest images of an answer.
        coarse: Whether to answer the part of a label before "/" where the label is not sure.

    Raises:
        OptionError: No label of the gallery has such a part.
    """
    if coarse and gallery.settings.coarse is None:
        raise OptionError(
            "coarse needs labels with a common part before '/', such as 'Apple/Golden Delicious' "
            "and 'Pear/Conference', of at least two kinds."
        )
    for found in gallery.search(images, hits=hits):
        if isinstance(found, UnreadableImage):
            yield FailedPrediction(found.path, found.reason)
        else:
            yield found.or_coarse() if coarse else found
