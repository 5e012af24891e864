"""The feature store: one Lance table per fingerprint, to which batches are committed."""

import json
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeAlias

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceOperation
from lance.fragment import FragmentMetadata, write_fragments
from pydantic import JsonValue

from headstart.arrays import Features, Landmarks, Rows
from headstart.errors import StoreError
from headstart.features.fingerprint import Fingerprint
from headstart.features.places import (
    Place,
    around,
    bytes_of,
    create,
    discard,
    exists,
    storage_options,
    tables_in,
    within,
)
from headstart.features.rounding import HALF_MAX
from headstart.threads import map_in_order

Source: TypeAlias = lance.LanceDataset | pa.Table

# Lance warns whenever the process forks; forked children do not use it.
warnings.filterwarnings("ignore", message="lance is not fork-safe")

_ATTEMPTS = 20
_DELETED_AT_ONCE = 1_000
# Rows that are read at a time: 22 MB of float32 for the features of EfficientNet-Lite0.
_BLOCK = 1024
# Blocks that are read while one is used.
_AHEAD = 2
# The hashes of smaller tables are read faster than an index of them is searched, and so are those
# of a larger table if more than this share of its rows is looked up.
_INDEXED_ROWS, _FEW = 100_000, 0.002
_ROWS_PER_FRAGMENT = 65_536
# Versions that another process may still be reading.
_KEPT_VERSIONS = timedelta(hours=1)
_RACES = ("already exists", "not found", "Not found", "ncompatible transaction", "onflict")
# Temporary errors, after which an intact table must not be discarded.
_TEMPORARY = (
    *("Permission denied", "Too many open files", "Cannot allocate memory"),
    # What an object store answers, or that it does not; what is missing there is "Not found".
    *("Generic S3 error", "Generic GCS error", "Generic MicrosoftAzure error", "HTTP error"),
)


class DamagedTable(Exception):
    """A table cannot be read, or differs from what was written."""


class HalfRangeExceeded(Exception):
    """A feature is too large for half precision."""


@dataclass(frozen=True)
class TableInfo:
    """A summary of a table.

    Attributes:
        about: The values of the fingerprint.
        images: Number of images with features.
        bytes: Size on disk.
    """

    about: Mapping[str, JsonValue]
    images: int
    bytes: int

    @property
    def architecture(self) -> str:
        """Architecture of the network, or "damaged"."""
        return str(self.about["architecture"])

    @property
    def precision(self) -> str:
        """Precision of the network, or "?" if it cannot be read."""
        return str(self.about.get("precision", "?"))

    @property
    def image_size(self) -> str:
        """Side of the images in pixels, or "?" if it cannot be read."""
        preprocess = self.about.get("preprocess")
        return str(preprocess.get("size", "?")) if isinstance(preprocess, dict) else "?"


class FeatureTable:
    """The features of one fingerprint, by the sha256 of an image's bytes.

    Features of a network that runs in bf16 are stored in half precision: it has 11 significant bits
    and bf16 has 8, and according to `benchmarks/extract.py` it changes no prediction. If a network
    runs in float32 or a feature exceeds 65,504, features are stored in float32.

    Several processes may append to a table at once, as every append is an atomic commit. An image
    that two processes add has two rows.
    """

    def __init__(self, path: Place, fingerprint: Fingerprint, kind: str) -> None:
        self.path = path
        self.kind = kind
        self._width = sum(width for _, width in fingerprint.blocks)
        self._dtype = np.dtype(kind)
        vector = pa.list_(pa.from_numpy_dtype(self._dtype), self._width)
        about = json.dumps(fingerprint.to_dict(), sort_keys=True)
        self._schema = pa.schema(
            [("sha256", pa.string()), ("crc32", pa.uint32()), ("features", vector)],
            metadata={"headstart": about},
        )

    def known(self) -> set[str]:
        """Return the sha256 of every image that has features.

        Raises:
            DamagedTable: The table cannot be read.
        """
        if not exists(self.path):
            return set()
        with _translate_errors():
            return set(_hashes(self._open()).to_pylist())

    def missing(self, sha256s: Sequence[str]) -> set[str]:
        """Return those of some images that have no features.

        Raises:
            DamagedTable: The table cannot be read.
        """
        if not exists(self.path):
            return set(sha256s)
        with _translate_errors():
            stored = _hashes(_source(self._open(), sha256s))
            keys = pa.array(sha256s, pa.string())
            return set(keys.filter(pc.invert(pc.is_in(keys, value_set=stored))).to_pylist())

    def append(self, sha256s: Sequence[str], features: Features) -> None:
        """Append features of shape (images, width) atomically.

        Raises:
            HalfRangeExceeded: A value does not fit the table's half precision.
            StoreError: The disk is full, or the folder is not writable.
        """
        table = self._as_stored(sha256s, features)
        self._change(
            lambda: lance.write_dataset(
                table, str(self.path), mode="append", storage_options=storage_options(self.path)
            )
        )

    def write_fragments(self, sha256s: Sequence[str], features: Features) -> list[str]:
        """Write features of shape (images, width) to files that are not yet part of the table.

        Returns:
            What `commit` needs, possibly in another process, to make them part of it.

        Raises:
            HalfRangeExceeded: A value does not fit the table's half precision.
            StoreError: The disk is full, or the folder is not writable.
        """
        table = self._as_stored(sha256s, features)
        written: list[str] = []

        def write() -> None:
            fragments = write_fragments(
                table, str(self.path), mode="append", storage_options=storage_options(self.path)
            )
            written.extend(json.dumps(fragment.to_json()) for fragment in fragments)

        self._change(write)
        return written

    def commit(self, fragments: Sequence[str]) -> None:
        """Make written fragments part of the table, all in one step.

        Raises:
            StoreError: The disk is full, or the folder is not writable.
        """
        added = LanceOperation.Append([FragmentMetadata.from_json(one) for one in fragments])
        self._change(
            lambda: lance.LanceDataset.commit(
                *(str(self.path), added),
                read_version=self._open().version,
                storage_options=storage_options(self.path),
            )
        )

    def read(self, sha256s: Sequence[str]) -> Features:
        """Return the features of images in the given order, shape (images, width), float32.

        Raises:
            DamagedTable: The features differ from what was written, or cannot be read.
        """
        features = np.empty((len(sha256s), self._width), np.float32)
        source, rows = self._find(sha256s)
        for places in _in_blocks(rows):
            features[places] = _stored(source, rows[places])
        return features

    def blocks(
        self, sha256s: Sequence[str], columns: slice = slice(None)
    ) -> Iterator[tuple[Rows, Features]]:
        """Yield the features of images in blocks, in the order of the table, and read ahead.

        Memory does not grow with the size of the features.

        Args:
            sha256s: The images.
            columns: The columns to return.

        Yields:
            The places of some images among those given, and their features, (images, columns),
            float32.

        Raises:
            DamagedTable: The features differ from what was written, or cannot be read.
        """
        source, rows = self._find(sha256s)

        def read(places: Rows) -> tuple[Rows, Features]:
            return places, _stored(source, rows[places])[:, columns].astype(np.float32)

        with ThreadPoolExecutor(1) as thread:
            yield from map_in_order(thread, read, _in_blocks(rows), ahead=_AHEAD)

    def compact(self, *, fragments: int = 64) -> None:
        """Merge the small fragments of separate commits, for faster reading, and index the hashes.

        Args:
            fragments: Maximum number of fragments to leave unmerged.
        """
        # It may fail because of another process's commit or a full disk, which does no harm.
        with suppress(DamagedTable, StoreError), _translate_errors():
            dataset = self._open()
            if len(dataset.get_fragments()) > fragments:
                dataset.optimize.compact_files(target_rows_per_fragment=_ROWS_PER_FRAGMENT)
                _index(self._open())
                self._open().cleanup_old_versions(older_than=_KEPT_VERSIONS)

    def discard(self) -> None:
        """Delete the table."""
        discard(self.path)

    def create(self) -> None:
        """Create the table atomically if it does not exist."""
        if not exists(self.path):
            options = storage_options(self.path)
            create(
                self.path,
                lambda uri: lance.write_dataset(
                    self._schema.empty_table(), uri, mode="create", storage_options=options
                ),
            )

    def _open(self) -> lance.LanceDataset:
        return _dataset(self.path, session=_session())

    def _find(self, sha256s: Sequence[str]) -> tuple[Source, Rows]:
        """Return what features of images are taken from, and the row of each image in it."""
        with _translate_errors():
            # A fixed version, even if other processes commit meanwhile.
            source = _source(self._open(), sha256s)
            found = pc.index_in(pa.array(sha256s, pa.string()), value_set=_hashes(source))
        if found.null_count:
            raise DamagedTable("the features of an image are missing")
        return source, found.to_numpy()

    def _as_stored(self, sha256s: Sequence[str], features: Features) -> pa.Table:
        """Return the rows of images, with features as they are stored."""
        if self.kind == "float16" and np.abs(features).max() > HALF_MAX:
            raise HalfRangeExceeded
        stored = np.ascontiguousarray(features.astype(self._dtype))
        checks = [zlib.crc32(row.data) for row in stored]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), features.shape[1])
        columns = [pa.array(sha256s, pa.string()), pa.array(checks, pa.uint32()), vectors]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _change(self, change: Callable[[], object]) -> None:
        """Change the table, which is created if it does not exist."""
        for attempt in range(_ATTEMPTS):
            try:
                self.create()
                change()
                return
            except OSError as error:
                # Another process may have created or removed the table in the meantime.
                if not any(sign in str(error) for sign in _RACES) or attempt == _ATTEMPTS - 1:
                    raise StoreError(
                        f"The feature store at '{around(self.path)}' cannot be written: "
                        f"{_first_line(error)}. Features stored so far are kept. "
                        "Free some space, or choose another folder with --cache."
                    ) from None


class FeatureStore:
    """All tables, in one folder or at one URL."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder

    def table(self, fingerprint: Fingerprint) -> FeatureTable:
        """Return the table of a fingerprint: the float32 table if it exists or is required."""
        wide = within(self.folder, f"{fingerprint.key}-float32.lance")
        if exists(wide) or fingerprint.precision == "float32":
            return FeatureTable(wide, fingerprint, "float32")
        return FeatureTable(within(self.folder, f"{fingerprint.key}.lance"), fingerprint, "float16")

    def wide_table(self, fingerprint: Fingerprint) -> FeatureTable:
        """Return the float32 table, for features beyond the range of half precision."""
        return FeatureTable(
            within(self.folder, f"{fingerprint.key}-float32.lance"), fingerprint, "float32"
        )

    def forget(self, sha256s: Sequence[str]) -> None:
        """Delete the features of images from all tables, and from their files.

        Raises:
            StoreError: A table cannot be written.
        """
        for path in tables_in(self.folder):
            with suppress(DamagedTable), _translate_errors():
                dataset = _dataset(path)
                known = set(_hashes(dataset).to_pylist())
                found = [sha256 for sha256 in sha256s if sha256 in known]
                if found:
                    for index in dataset.describe_indices():  # It has the hashes too.
                        dataset.drop_index(index.name)
                    delete_images(dataset, found)
                    erase_deleted(path)

    def infos(self) -> list[TableInfo]:
        """Summarise every table, including damaged ones."""
        return list(map(_info, tables_in(self.folder)))


def delete_images(dataset: lance.LanceDataset, sha256s: Sequence[str]) -> None:
    """Delete the rows of images from a table, which still has them on disk."""
    for begin in range(0, len(sha256s), _DELETED_AT_ONCE):
        dataset.delete(_is_any_of(sha256s[begin : begin + _DELETED_AT_ONCE]))


def erase_deleted(path: Place) -> None:
    """Delete what a table still has on disk of rows that were deleted, and its earlier versions.

    What another process is writing at the moment may be lost.
    """
    options = {"materialize_deletions": True, "materialize_deletions_threshold": 0.0}
    _dataset(path).optimize.compact_files(**options)
    _dataset(path).cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)


def _dataset(path: Place, session: lance.Session | None = None) -> lance.LanceDataset:
    return lance.dataset(str(path), storage_options=storage_options(path), session=session)


@cache
def _session() -> lance.Session:
    """Return what keeps the indexes of tables from one look-up to the next."""
    return lance.Session(index_cache_size_bytes=2**28, metadata_cache_size_bytes=2**26)


def _source(dataset: lance.LanceDataset, sha256s: Sequence[str]) -> Source:
    """Return what rows of images are taken from: a table, or the found rows if these are few."""
    if 0 < len(sha256s) <= _FEW * dataset.count_rows():
        return dataset.to_table(filter=_is_any_of(sha256s))
    return dataset


def _hashes(source: Source) -> pa.Array:
    """Return the sha256 of each row."""
    if not isinstance(source, pa.Table):
        source = source.to_table(columns=["sha256"])
    return source["sha256"].combine_chunks()


def _in_blocks(rows: Rows) -> Iterator[Rows]:
    """Yield blocks of places in the order of their rows."""
    order = np.argsort(rows, kind="stable")
    for begin in range(0, len(order), _BLOCK):
        yield order[begin : begin + _BLOCK]


def _stored(source: Source, rows: Rows) -> Landmarks:
    """Return the features of rows as they are stored.

    Raises:
        DamagedTable: They differ from what was written.
    """
    with _translate_errors():
        table = source.take(rows)
    vectors = table["features"].combine_chunks()
    stored: Landmarks = vectors.flatten().to_numpy().reshape(len(table), -1)
    checks = table["crc32"].to_pylist()
    if any(zlib.crc32(row.data) != check for row, check in zip(stored, checks, strict=True)):
        raise DamagedTable("a stored feature differs from what was written")
    return stored


def _index(dataset: lance.LanceDataset) -> None:
    """Index the hashes of a large table, or add new rows to its index."""
    if dataset.describe_indices():
        dataset.optimize.optimize_indices()
    elif dataset.count_rows() >= _INDEXED_ROWS:
        dataset.create_scalar_index("sha256", "BTREE")


def _is_any_of(sha256s: Sequence[str]) -> str:
    listed = ", ".join(f"'{one}'" for one in sha256s)
    return f"sha256 IN ({listed})"


def _info(path: Place) -> TableInfo:
    size = bytes_of(path)
    try:
        with _translate_errors():
            dataset = _dataset(path)
            about = json.loads(dataset.schema.metadata[b"headstart"])
            return TableInfo(about, dataset.count_rows(), size)
    except DamagedTable:
        return TableInfo({"architecture": "damaged"}, 0, size)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate all exceptions of Lance; those from Rust panics are BaseExceptions."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if any(sign in str(error) for sign in _TEMPORARY):
            raise StoreError(
                f"The feature store cannot be read: {_first_line(error)}. Nothing was changed."
            ) from None
        raise DamagedTable(_first_line(error)) from None


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without the position in Lance's source code."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"[,:]? *[^ ]*\.rs:\d+(:\d+)?", "", line).strip().rstrip(".,:")
