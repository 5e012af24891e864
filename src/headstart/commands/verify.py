"""Do pairs of images show the same item? Measure how often a model tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from headstart.commands.embedding import extractor_of, open_gallery, unusable
from headstart.cores import cores
from headstart.data.decoding import sha256_of
from headstart.data.pairs import Pairs, read_pairs
from headstart.features.extractor import FeatureExtractor
from headstart.galleries.embedding import Embedding
from headstart.galleries.layout import SETTINGS
from headstart.galleries.verification import Verification, verify_pairs
from headstart.gallery_options import VerifyOptions
from headstart.record import Rejection
from headstart.watching import Watcher


@dataclass(frozen=True)
class VerifyResult:
    """What was found out about a model with pairs.

    Attributes:
        model: The model, as it was passed.
        verification: How often it tells the same item.
        rejected: Images that cannot be compared, with the reasons.
    """

    model: str
    verification: Verification
    rejected: tuple[Rejection, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        rejected: list[JsonValue] = [
            {"image": one.image, "reason": one.reason} for one in self.rejected
        ]
        return {"model": self.model} | self.verification.to_json() | {"rejected": rejected}


def verify_model(
    model: str | os.PathLike[str],
    table: str | os.PathLike[str],
    options: VerifyOptions,
    watcher: Watcher,
) -> VerifyResult:
    """Measure how often a model tells whether two images show the same item.

    Args:
        model: A gallery, a run, its bundle, the name of a backbone, or "dlib-face".
        table: A table of pairs; see `read_pairs`.
        options: What to do.
        watcher: Follows the stages.

    Raises:
        DataError: The pairs cannot be used.
        OptionError: The model is unknown, or an option is invalid.
    """
    with watcher.stage("Loading the model"):
        extractor, fixed = _embedder(os.fspath(model), options)
    pairs = read_pairs(os.fspath(table), slices=_names(options.slices))
    with watcher.stage("Reading images"), ThreadPoolExecutor(cores()) as pool:
        sha256s = list(pool.map(sha256_of, pairs.images))
    problems = unusable(list(zip(pairs.images, sha256s, strict=True)), extractor, watcher)
    usable = np.array([sha256 not in problems for sha256 in sha256s])
    files = [
        (path, sha256)
        for path, sha256 in zip(pairs.images, sha256s, strict=True)
        if sha256 not in problems
    ]
    with watcher.stage("Extracting features") as progress:
        known, _ = extractor.of_files(files, progress=progress, warn=watcher.warn)
    features = np.zeros((len(pairs.images), extractor.layout.width), known.dtype)
    features[usable] = known
    with watcher.stage("Comparing pairs"):
        found = verify_pairs(pairs, features, extractor.layout, usable, fixed)
    rejected = _rejected(pairs, sha256s, problems)
    return VerifyResult(os.fspath(model), found, rejected)


def _embedder(model: str, options: VerifyOptions) -> tuple[FeatureExtractor, Embedding | None]:
    """Return what computes features and, of a gallery, what turns them into embeddings."""
    if not (Path(model) / SETTINGS).is_file():
        return extractor_of(model, options), None
    gallery = open_gallery(model, options)
    return gallery.extractor, gallery.embedding


def _names(columns: str | None) -> list[str]:
    return [name.strip() for name in (columns or "").split(",") if name.strip()]


def _rejected(
    pairs: Pairs, sha256s: Sequence[str], problems: dict[str, str]
) -> tuple[Rejection, ...]:
    return tuple(
        Rejection(path, problems[sha256])
        for path, sha256 in zip(pairs.images, sha256s, strict=True)
        if sha256 in problems
    )
