"""What galleries and pairs compare images by: an extractor, and which images have a face."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart.backbones.backbone import load_backbone
from headstart.backbones.faces import DLIB_FACE, dlib_face
from headstart.data.contract import PixelContract
from headstart.data.decoding import decode_image, read_image
from headstart.data.faces import SEARCHED_SIDE, count_large_faces, require_faces
from headstart.data.images import ImageSet
from headstart.data.paths import list_names
from headstart.errors import UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.gallery_options import EmbedderOptions
from headstart.options import cache_folder
from headstart.record import Rejection
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher


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
    with watcher.stage(stage) as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
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


def _extractor_of(model: str, options: EmbedderOptions) -> FeatureExtractor:
    if Path(model).exists() or model.startswith("hf-hub:"):
        return load_predictor(model, options).extractor
    named = model == DLIB_FACE
    return FeatureExtractor(
        dlib_face() if named else load_backbone(model, weights=options.weights),
        cache=cache_folder(options.cache),
        device=options.device,
        precision=options.precision,
    )
