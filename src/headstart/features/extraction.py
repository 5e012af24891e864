"""Step 3, extract features of files: decode them while the engine runs, and store each batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from headstart.arrays import Features
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.errors import BackboneError, DataError
from headstart.features.batches import pixel_batches
from headstart.features.fingerprint import Fingerprint
from headstart.features.inheritance import copy_valid_features
from headstart.features.store import (
    DamagedTable,
    FeatureStore,
    FeatureTable,
    HalfRangeExceeded,
)
from headstart.options import DecodeLimits
from headstart.watching import Progress

ExtractMissing = Callable[[dict[str, str], FeatureTable], None]
"""Computes features of files, given as path by sha256, and adds them to a table."""

Result = TypeVar("Result")

_ATTEMPTS = 3

COMMIT_EVERY = 128
"""Images between two commits: at most half a second of work is lost, and a commit takes 2 ms."""

COMPACT_EVERY = 512
"""Commits after which fragments are merged: each commit lists them all."""


def stored_features(
    images: Sequence[tuple[str, str]],
    *,
    store: FeatureStore,
    fingerprint: Fingerprint,
    extract_missing: ExtractMissing,
    warn: Callable[[str], None] | None = None,
) -> tuple[Features, str]:
    """Return the features of images from the store, and compute those that are missing.

    Args:
        images: Path and sha256 of each image.
        store: The feature store.
        fingerprint: Everything that the features depend on.
        extract_missing: Computes and stores the features that are missing; see `extract`. Called
            only if some are.
        warn: Called with a sentence if the store was damaged.

    Returns:
        Features of shape (images, width), and the precision in which they are stored.

    Raises:
        DataError: A file has changed since it was scanned, or the store is damaged repeatedly.
        StoreError: The store cannot be read or written.
    """
    if not images:
        width = sum(width for _, width in fingerprint.blocks)
        return np.zeros((0, width), dtype=np.float32), store.table(fingerprint).kind
    sha256s = [sha256 for _, sha256 in images]

    def complete() -> tuple[Features, str]:
        table = _complete_table(images, store, fingerprint, extract_missing)
        return table.read(sha256s), table.kind

    return _repairing(complete, store, fingerprint, warn)


def store_features(
    images: Sequence[tuple[str, str]],
    *,
    store: FeatureStore,
    fingerprint: Fingerprint,
    extract_missing: ExtractMissing,
    warn: Callable[[str], None] | None = None,
) -> None:
    """Compute the features of images that are not in the store; see `stored_features`."""

    def complete() -> None:
        _complete_table(images, store, fingerprint, extract_missing)

    _repairing(complete, store, fingerprint, warn)


def _complete_table(
    images: Sequence[tuple[str, str]],
    store: FeatureStore,
    fingerprint: Fingerprint,
    extract_missing: ExtractMissing,
) -> FeatureTable:
    """Compute what is missing in the table of a fingerprint, and return the table."""
    table = store.table(fingerprint)

    def find_missing() -> dict[str, str]:
        missing = table.missing([sha256 for _, sha256 in images])
        return {sha256: path for path, sha256 in images if sha256 in missing}

    if missing := find_missing():
        copy_valid_features(missing, table, store, fingerprint)
    if missing and (missing := find_missing()):
        try:
            extract_missing(missing, table)
        except HalfRangeExceeded:
            table.discard()
            wide = store.wide_table(fingerprint)
            wide.create()  # From now on, it is the table of this fingerprint.
            return _complete_table(images, store, fingerprint, extract_missing)
    return table


def _repairing(
    complete: Callable[[], Result],
    store: FeatureStore,
    fingerprint: Fingerprint,
    warn: Callable[[str], None] | None,
) -> Result:
    """Try again after a damaged table was discarded.

    Raises:
        DataError: It is damaged again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return complete()
        except DamagedTable as damage:
            store.table(fingerprint).discard()
            if warn:
                warn(f"The feature store was damaged ({damage}); its features are recomputed.")
    raise DataError("The feature store was damaged repeatedly. Check the disk.")


def extract(
    paths: dict[str, str],
    table: FeatureTable,
    engine: Engine,
    preprocess: Preprocess,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
    *,
    commit_every: int = COMMIT_EVERY,
) -> None:
    """Compute features of files, and commit them to the store in batches.

    Memory does not grow with the number of images: only a few batches and one pending commit are
    in memory.

    Args:
        paths: Path of each image, by sha256.
        table: The table for the features.
        engine: Runs the network.
        preprocess: The preprocessing of the pixels.
        limits: Maximum bytes and pixels per image.
        progress: Called after each batch.
        commit_every: Images between two commits.
    """
    names: list[str] = list(paths)
    done = commits = 0
    pending: list[Features] = []
    for features in compute(paths, engine, preprocess, limits):
        pending.append(features)
        count = sum(map(len, pending))
        if count >= commit_every or done + count == len(names):
            table.append(names[done : done + count], np.concatenate(pending))
            done, commits, pending = done + count, commits + 1, []
            if commits % COMPACT_EVERY == 0:
                table.compact()
        if progress:
            progress(done + sum(map(len, pending)), len(names))
    table.compact()


def compute(
    paths: Mapping[str, str],
    engine: Engine,
    preprocess: Preprocess,
    limits: DecodeLimits | None = None,
) -> Iterator[Features]:
    """Yield the features of files in batches, in order.

    Args:
        paths: Path of each image, by sha256.
        engine: Runs the network.
        preprocess: The preprocessing of the pixels.
        limits: Maximum bytes and pixels per image.
    """
    with pixel_batches(paths.items(), engine.batch_size, preprocess, limits) as batches:
        for features in engine.run(batches):
            _check_finite(features)
            yield features


def _check_finite(features: Features) -> None:
    if not np.isfinite(features).all():
        raise BackboneError(
            "The backbone returns values that are not finite. Check that its weights are not "
            "damaged, or try --precision float32."
        )
