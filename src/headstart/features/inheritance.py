"""Features of an earlier pixel contract are still valid for images that it decodes alike."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from headstart.data.contract import FIRST
from headstart.data.decoding import read_image, same_as_first
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import DamagedTable, FeatureStore, FeatureTable

_BATCH = 4096


def copy_valid_features(
    missing: Mapping[str, str], table: FeatureTable, store: FeatureStore, fingerprint: Fingerprint
) -> None:
    """Copy features that were stored with the first contract into the table of a later one.

    Args:
        missing: Path of each image whose features are missing, by sha256.
        table: The table of the fingerprint.
        store: The feature store.
        fingerprint: Everything that the features depend on.
    """
    preprocess = fingerprint.preprocess
    if preprocess.contract == FIRST:
        return
    earlier = store.table(replace(fingerprint, preprocess=replace(preprocess, contract=FIRST)))
    with suppress(DamagedTable), quiet_libraries():
        known = earlier.known() & missing.keys()
        valid = [sha256 for sha256 in sorted(known) if _is_valid(missing[sha256], fingerprint)]
        for start in range(0, len(valid), _BATCH):
            batch = valid[start : start + _BATCH]
            table.append(batch, earlier.read(batch))


def _is_valid(path: str, fingerprint: Fingerprint) -> bool:
    try:
        return same_as_first(read_image(path), fingerprint.preprocess.contract)
    except UnreadableImage:
        return False  # Extraction names the reason.
