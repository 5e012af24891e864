"""What the commands of galleries share: models, labelled images, and which have a face."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.arrays import Features
from headstart.backbones.faces import DLIB_FACE, dlib_face
from headstart.backbones.saved import SavedBackbone
from headstart.cache import cache_folder, store_url
from headstart.cluster.machines import THIS_MACHINE, Machines
from headstart.cores import cores
from headstart.data.contract import PixelContract
from headstart.data.decoding import decode_image, read_image
from headstart.data.faces import SEARCHED_SIDE, count_large_faces, require_faces
from headstart.data.formats import is_table
from headstart.data.images import ImageSet
from headstart.data.interpretation import Interpretation
from headstart.data.opening import images_of
from headstart.data.paths import list_names
from headstart.data.sources import open_source
from headstart.data.staging import staging_folder
from headstart.data.tables import other_columns
from headstart.data.url_sources import fetched, named_by_url
from headstart.errors import DataError, UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.galleries.store import GalleryStore
from headstart.gallery_options import EmbedderOptions, EnrolOptions, LookUpOptions
from headstart.hub.names import on_hub
from headstart.options import ComputeOptions
from headstart.record import Rejection
from headstart.tasks.loading import TASKS, load_predictor
from headstart.urls import url_of
from headstart.watching import Watcher

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone


def extractor_of(model: str, options: EmbedderOptions) -> FeatureExtractor:
    """Return the extractor of a model.

    Args:
        model: A run, its bundle, the name of a backbone, or "dlib-face".
        options: How its features are computed.

    Raises:
        OptionError: Faces are to be found, and the extra `faces` is not installed.
    """
    extractor = _extractor_of(model, options)
    contract = extractor.preprocess.contract
    if options.crop == "none" or contract.crop == options.crop:
        return extractor
    require_faces()
    return extractor.with_contract(replace(contract, crop=options.crop))


def open_gallery(gallery: str | os.PathLike[str], options: ComputeOptions) -> GalleryStore:
    """Open a gallery; see `GalleryStore.open`."""
    return GalleryStore.open(
        gallery,
        cache=cache_folder(options.cache),
        store=store_url(options.cache),
        device=options.device,
        precision=options.precision,
    )


def open_labelled(
    data: str | os.PathLike[str],
    extractor: FeatureExtractor,
    options: EnrolOptions | LookUpOptions,
    watcher: Watcher,
    machines: Machines = THIS_MACHINE,
) -> tuple[ImageSet, tuple[Rejection, ...]]:
    """Return all usable images of labelled data, with those that are not; one label is enough."""
    group, staging = options.group, staging_folder(options.cache)
    columns = _columns(data, staging, group) if is_table(Path(data)) else ()
    with watcher.stage("Checking images") as progress:
        source = open_source(data, staging, Interpretation(group=group, slices=columns))
        labels = sorted({entry.label for entry in source.entries if entry.label})
        images = images_of(
            source,
            data,
            task=TASKS["single"],
            classes=labels,
            progress=progress,
            check=machines.check_files,
        )
    watcher.note(images.summary)
    for warning in images.warnings:
        watcher.warn(warning)
    rejected = [Rejection(*one) for one in images.rejected]
    usable, faceless = with_faces(images.all, extractor, watcher)
    if not len(usable):
        raise DataError(f"No face is found in any image of '{data}'.")
    return usable, (*rejected, *faceless)


def _columns(data: str | os.PathLike[str], staging: Path, group: str | None) -> tuple[str, ...]:
    """Return the columns of a table that are kept beside each image."""
    if url := url_of(data):
        copy = fetched(url, staging)
        with named_by_url(copy, url):
            return other_columns(copy, group)
    return other_columns(Path(data), group)


def features_of(
    extractor: FeatureExtractor,
    images: ImageSet,
    watcher: Watcher,
    machines: Machines = THIS_MACHINE,
) -> tuple[Features, str]:
    """Return the features of images, and the precision to which they are rounded."""
    with watcher.stage("Extracting features") as progress:
        machines.extract(extractor, images.files, progress=progress, warn=watcher.warn)
        return extractor.of_files(images.files, progress=progress, warn=watcher.warn)


def with_faces(
    images: ImageSet, extractor: FeatureExtractor, watcher: Watcher
) -> tuple[ImageSet, list[Rejection]]:
    """Leave out the images in which no face is found, if faces are what an extractor sees.

    Returns:
        The other images, and those that were left out, with the reason.
    """
    if extractor.preprocess.contract.crop != "face":
        return images, []
    problems = unusable(images.files, extractor, watcher)
    names = dict(zip(images.sha256s, images.names, strict=True))
    rows = np.flatnonzero([sha256 not in problems for sha256 in images.sha256s])
    return images.take(rows), [Rejection(names[one], why) for one, why in problems.items()]


def unusable(
    files: Sequence[tuple[str, str]], extractor: FeatureExtractor, watcher: Watcher
) -> dict[str, str]:
    """Return why an image cannot be compared, by the sha256 of its file.

    It cannot be read, or has no face where faces are compared. Files whose features are stored can
    be compared. A warning names images with several large faces.

    Args:
        files: Path and sha256 of each image.
        extractor: What sees them.
        watcher: Follows the search.
    """
    problems, crowds = dict[str, str](), list[str]()
    missing = list({sha256: path for path, sha256 in extractor.missing(files)}.items())
    contract = extractor.preprocess.contract
    stage = "Finding faces" if contract.crop == "face" else "Checking images"
    with watcher.stage(stage) as progress, ThreadPoolExecutor(cores()) as pool:
        found = pool.map(lambda file: _count_faces(file[1], contract), missing)
        for number, ((sha256, path), faces) in enumerate(zip(missing, found, strict=True), 1):
            if isinstance(faces, str):
                problems[sha256] = faces
            elif faces > 1:
                crowds.append(path)
            progress(number, len(missing))
    if crowds:
        verb = "image has" if len(crowds) == 1 else "images have"
        watcher.warn(
            f"{len(crowds):,} {verb} several large faces, of which the largest is compared: "
            f"{list_names(crowds)}."
        )
    return problems


def _count_faces(path: str, contract: PixelContract) -> int | str:
    """Return the number of large faces, 0 where they are not looked for, or what is wrong."""
    whole = replace(contract, crop="none")
    try:
        data = read_image(path)
        image = decode_image(data, path=path, min_side=SEARCHED_SIDE, contract=whole)
        return count_large_faces(image, path=path) if contract.crop == "face" else 0
    except UnreadableImage as error:
        return error.reason


def _is_timm(model: str) -> bool:
    """Return whether a repository on the hub has a network in timm's form."""
    from headstart.backbones.repositories import has_timm_network  # It needs PyTorch.

    return has_timm_network(model)


def _extractor_of(model: str, options: EmbedderOptions) -> FeatureExtractor:
    if Path(model).exists() or (on_hub(model) and not _is_timm(model)):
        return load_predictor(model, options).extractor
    if model == DLIB_FACE:
        source: Backbone | SavedBackbone = dlib_face()
    else:
        from headstart.backbones.backbone import load_backbone  # It needs PyTorch, a slow import.

        source = load_backbone(model, weights=options.weights)
    return FeatureExtractor.of(source, options)
