"""The feature store: Lance tables, one for each fingerprint, committed batch by batch."""

import json
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from headstart.arrays import Features
from headstart.errors import StoreError
from headstart.features.fingerprint import Fingerprint
from headstart.features.rounding import HALF_MAX
from headstart.files import remove, size_of, written_once

# Lance warns at every fork of the process; nothing here continues in a forked child.
warnings.filterwarnings("ignore", message="lance is not fork-safe")

_ATTEMPTS = 20
_RACES = ("already exists", "not found", "Not found", "ncompatible transaction", "onflict")
# What keeps a sound table from being read for a while: no reason to throw it away.
_PASSING = ("Permission denied", "Too many open files", "Cannot allocate memory")


class DamagedTable(Exception):
    """A stored table cannot be read back as it was written."""


class HalfRangeExceeded(Exception):
    """A feature is too large for half precision."""


@dataclass(frozen=True)
class TableInfo:
    """What one table of the store holds.

    Attributes:
        about: The fingerprint's parts.
        images: How many images have features in it.
        bytes: What it takes on disk.
    """

    about: Mapping[str, JsonValue]
    images: int
    bytes: int

    @property
    def architecture(self) -> str:
        """Of the network, or "damaged"."""
        return str(self.about["architecture"])

    @property
    def precision(self) -> str:
        """Of the network, or "?" where it cannot be read."""
        return str(self.about.get("precision", "?"))

    @property
    def image_size(self) -> str:
        """Side of the images in pixels, or "?" where it cannot be read."""
        preprocess = self.about.get("preprocess")
        return str(preprocess.get("size", "?")) if isinstance(preprocess, dict) else "?"


class FeatureTable:
    """The features of one fingerprint, found by the sha256 of an image's bytes.

    Half precision by default: it keeps 11 bits where bf16, in which a network is run, keeps 8,
    and `benchmarks/extract.py` measures that it changes no prediction. Float32 where the
    network is run in float32, or where a feature is beyond 65,504.

    Several processes may append to one table at once: every append is one atomic commit. An
    image that two of them added is simply there twice.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint, kind: str) -> None:
        self.path = path
        self.kind = kind
        width = sum(width for _, width in fingerprint.blocks)
        self._dtype = np.dtype(kind)
        vector = pa.list_(pa.from_numpy_dtype(self._dtype), width)
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
        if not self.path.exists():
            return set()
        with _damage():
            return set(_rows(self._open()))

    def append(self, sha256s: Sequence[str], features: Features) -> None:
        """Add features of shape (images, width), all or none.

        Raises:
            HalfRangeExceeded: A value does not fit the table's half precision.
            StoreError: The disk is full, or the folder cannot be written.
        """
        if self.kind == "float16" and np.abs(features).max() > HALF_MAX:
            raise HalfRangeExceeded
        stored = np.ascontiguousarray(features.astype(self._dtype))
        checks = [zlib.crc32(row.data) for row in stored]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), features.shape[1])
        columns = [pa.array(sha256s, pa.string()), pa.array(checks, pa.uint32()), vectors]
        self._write(pa.Table.from_arrays(columns, schema=self._schema))

    def read(self, sha256s: Sequence[str]) -> Features:
        """Return the features of images in the order asked for, shape (images, width), float32.

        Raises:
            DamagedTable: They are not as they were written.
        """
        with _damage():
            dataset = self._open()  # One version, whatever others commit meanwhile.
            rows = _rows(dataset)
            table = dataset.take([rows[sha256] for sha256 in sha256s])
            vectors = table["features"].combine_chunks()
            stored = vectors.flatten().to_numpy().reshape(len(sha256s), -1)
            checks = table["crc32"].to_pylist()
        if any(zlib.crc32(row.data) != check for row, check in zip(stored, checks, strict=True)):
            raise DamagedTable("a stored feature differs from what was written")
        features: Features = stored.astype(np.float32)
        return features

    def compact(self, *, fragments: int = 64) -> None:
        """Join the small pieces that batches left behind, for faster reading.

        Args:
            fragments: Nothing is done for so few.
        """
        # Another process's commit or a full disk may stop it, which does no harm.
        with suppress(DamagedTable, StoreError), _damage():
            dataset = self._open()
            if len(dataset.get_fragments()) > fragments:
                dataset.optimize.compact_files()

    def discard(self) -> None:
        """Forget everything in the table."""
        remove(self.path)

    def _create(self) -> None:
        """Make the table unless it is there, in one step: half of it is never seen."""
        if not self.path.exists():
            with written_once(self.path) as partial:
                lance.write_dataset(self._schema.empty_table(), str(partial), mode="create")

    def _open(self) -> lance.LanceDataset:
        return lance.dataset(str(self.path))

    def _write(self, table: pa.Table) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._create()
                lance.write_dataset(table, str(self.path), mode="append")
                return
            except OSError as error:
                # Another process may have created the table, or removed it, in between.
                if not any(sign in str(error) for sign in _RACES) or attempt == _ATTEMPTS - 1:
                    raise StoreError(
                        f"The feature store at '{self.path.parent}' cannot be written: "
                        f"{_first_line(error)}. What was computed before is kept. "
                        "Free some space, or choose another folder with --cache."
                    ) from None


class FeatureStore:
    """All tables, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def table(self, fingerprint: Fingerprint) -> FeatureTable:
        """Return the table of a fingerprint, in the precision that it has or should have."""
        wide = self.folder / f"{fingerprint.key}-float32.lance"
        if wide.exists() or fingerprint.precision == "float32":
            return FeatureTable(wide, fingerprint, "float32")
        return FeatureTable(self.folder / f"{fingerprint.key}.lance", fingerprint, "float16")

    def wide_table(self, fingerprint: Fingerprint) -> FeatureTable:
        """Return the float32 table, for features beyond the range of half precision."""
        return FeatureTable(
            self.folder / f"{fingerprint.key}-float32.lance", fingerprint, "float32"
        )

    def infos(self) -> list[TableInfo]:
        """Describe every table, a damaged one too."""
        tables = sorted(self.folder.glob("*.lance"))
        return [_info(path) for path in tables if not path.name.startswith(".")]


def _rows(dataset: lance.LanceDataset) -> dict[str, int]:
    names = dataset.to_table(columns=["sha256"])["sha256"].to_pylist()
    return {name: row for row, name in enumerate(names)}


def _info(path: Path) -> TableInfo:
    size = size_of(path)
    try:
        with _damage():
            dataset = lance.dataset(str(path))
            about = json.loads(dataset.schema.metadata[b"headstart"])
            return TableInfo(about, dataset.count_rows(), size)
    except DamagedTable:
        return TableInfo({"architecture": "damaged"}, 0, size)


@contextmanager
def _damage() -> Iterator[None]:
    """Translate whatever Lance raises on a damaged table; its Rust panics are BaseExceptions."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if any(sign in str(error) for sign in _PASSING):
            raise StoreError(
                f"The feature store cannot be read: {_first_line(error)}. Nothing was changed."
            ) from None
        raise DamagedTable(_first_line(error)) from None


def _first_line(error: BaseException) -> str:
    """Return an error's text, without the place in Lance's own code."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"[,:]? *[^ ]*\.rs:\d+(:\d+)?", "", line).strip().rstrip(".,:")
