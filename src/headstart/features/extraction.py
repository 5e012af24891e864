"""Step 3: files to features, decoding beside the engine, each batch stored at once."""

from collections.abc import Callable, Sequence

import numpy as np

from headstart.arrays import Features
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.errors import BackboneError, DataError
from headstart.features.batches import pixel_batches
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import (
    DamagedTable,
    FeatureStore,
    FeatureTable,
    HalfRangeExceeded,
)
from headstart.options import DecodeLimits
from headstart.watching import Progress

COMMIT_EVERY = 128
"""Images between two commits: half a second of work at most is lost, and a commit costs 2 ms."""


def stored_features(
    images: Sequence[tuple[str, str]],
    *,
    store: FeatureStore,
    fingerprint: Fingerprint,
    engine: Callable[[], Engine],
    preprocess: Preprocess,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
    commit_every: int = COMMIT_EVERY,
) -> tuple[Features, str]:
    """Return the features of images, from the store where it has them, else by the engine.

    Args:
        images: Path and sha256 of each.
        store: Where features are kept.
        fingerprint: What they depend on.
        engine: Builds the engine; called only if an image is not in the store.
        preprocess: What happens to the pixels first.
        limits: Most bytes and pixels of one image.
        progress: Called as images get their features.
        warn: Called with a sentence if the store was damaged.
        commit_every: Images between two commits.

    Returns:
        Features of shape (images, width), and the precision that they are stored in.

    Raises:
        DataError: A file changed since it was looked into.
        StoreError: The store cannot be written.
    """
    table = store.table(fingerprint)
    sha256s = [sha256 for _, sha256 in images]
    if not images:
        width = sum(width for _, width in fingerprint.blocks)
        return np.zeros((0, width), dtype=np.float32), table.kind

    def complete() -> Features:
        known = table.known()
        missing = {sha256: path for path, sha256 in images if sha256 not in known}
        if missing:
            extract(
                missing,
                table,
                engine(),
                preprocess,
                limits,
                progress,
                commit_every=commit_every,
            )
        return table.read(sha256s)

    for _ in range(3):
        try:
            return complete(), table.kind
        except HalfRangeExceeded:
            table.discard()
            table = store.wide_table(fingerprint)
        except DamagedTable as damage:
            table.discard()
            if warn:
                warn(f"The feature store was damaged ({damage}); its features are computed again.")
    raise DataError("The feature store is damaged again and again. Is the disk failing?")


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
    """Compute features of files and store them, committing as it goes.

    Memory does not grow with the number of images: a few batches are in flight, one commit waits.

    Args:
        paths: Path of each image, by sha256.
        table: Where the features go.
        engine: Runs the network.
        preprocess: What happens to the pixels first.
        limits: Most bytes and pixels of one image.
        progress: Called after each batch.
        commit_every: Images between two commits.
    """
    names: list[str] = list(paths)
    done = 0
    waiting: list[Features] = []
    with pixel_batches(paths.items(), engine.batch_size, preprocess, limits) as batches:
        for features in engine.run(batches):
            _require_finite(features)
            waiting.append(features)
            count = sum(map(len, waiting))
            if count >= commit_every or done + count == len(names):
                table.append(names[done : done + count], np.concatenate(waiting))
                done += count
                waiting = []
            if progress:
                progress(done + sum(map(len, waiting)), len(names))
    table.compact()


def _require_finite(features: Features) -> None:
    if not np.isfinite(features).all():
        raise BackboneError(
            "The backbone gives numbers that are not finite. Are its weights damaged? "
            "Otherwise try --precision float32."
        )
